"""What is read about timelines and sessions, each question from one snapshot."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, select
from sqlmodel import col

from app.database.engines import Database
from app.timelines.memory import TimelineState
from models import Session, User
from models.columns import now

_MAX_USERS_PER_STATEMENT = 500


class TimelineQueries:
    """Versions and sessions as the database has them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def state(self, user_id: UUID) -> TimelineState | None:
        """Return the user's timeline version and live sessions, or `None` if there is no such user."""
        statement = (
            select(col(User.timeline_version), col(Session.id), col(Session.expires_at))
            .select_from(User)
            .outerjoin(Session, _is_live())
            .where(col(User.id) == user_id)
        )
        rows = await self._database.rows(statement)
        if not rows:
            return None
        return TimelineState(
            version=rows[0].timeline_version, sessions={row.id: row.expires_at for row in rows if row.id is not None}
        )

    async def fingerprints(self, user_ids: list[UUID]) -> dict[UUID, tuple[int, set[UUID]]]:
        """Return the timeline version and the live sessions of each of these users that exists."""
        found: dict[UUID, tuple[int, set[UUID]]] = {}
        for start in range(0, len(user_ids), _MAX_USERS_PER_STATEMENT):
            statement: Select[*tuple[Any, ...]] = (
                select(col(User.id), col(User.timeline_version), col(Session.id).label("session_id"))
                .outerjoin(Session, _is_live())
                .where(col(User.id).in_(user_ids[start : start + _MAX_USERS_PER_STATEMENT]))
            )
            for user_id, version, session_id in await self._database.rows(statement):
                _, sessions = found.setdefault(user_id, (version, set()))
                if session_id is not None:
                    sessions.add(session_id)
        return found


def _is_live() -> ColumnElement[bool]:
    """Return the condition that a session is the user's and has not expired."""
    return and_(col(Session.user_id) == col(User.id), col(Session.expires_at) > now())
