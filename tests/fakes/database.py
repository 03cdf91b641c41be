"""What is committed, in memory."""

import asyncio
from collections import defaultdict
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from sqlmodel import SQLModel

from events.types import PostEvent
from models import Session, User

RowT = TypeVar("RowT", bound=SQLModel)


@dataclass
class InMemoryDatabase:
    """Rows by model and primary key, and each user's stored events by version.

    `lost_deadlocks` makes so many of the next transactions lose a deadlock when they commit.
    """

    rows: dict[type[SQLModel], dict[Any, SQLModel]] = field(default_factory=lambda: defaultdict(dict))
    events: dict[UUID, dict[int, PostEvent]] = field(default_factory=lambda: defaultdict(dict))
    locks: dict[UUID, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    lost_deadlocks: int = 0
    commits: int = 0

    def all(self, model: type[RowT]) -> list[RowT]:
        """Return copies of the committed rows of a model."""
        return [copied(row) for row in self.rows[model].values()]  # type: ignore[misc]

    def user(self, user_id: UUID) -> User | None:
        """Return a copy of the committed user."""
        return next((user for user in self.all(User) if user.id == user_id), None)

    def sessions(self, user_id: UUID) -> list[Session]:
        """Return copies of the user's committed sessions."""
        return [session for session in self.all(Session) if session.user_id == user_id]


def copied(row: RowT) -> RowT:
    """Return a row that is independent of the other."""
    return type(row)(**{name: deepcopy(getattr(row, name)) for name in type(row).model_fields})
