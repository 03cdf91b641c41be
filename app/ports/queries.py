"""What use cases read outside of transactions. Each question is answered from one snapshot of its own.

Controllers read through `app.storage.queries` themselves.
"""

from typing import NamedTuple, Protocol
from uuid import UUID

from events.types import PostEvent
from models import Invitation


class StoredPassword(NamedTuple):
    """A user's password hash, and the password's version, which tells whether it was changed since it was read."""

    user_id: UUID
    hash: str
    version: int


class Grant(NamedTuple):
    """What a personal token opens, which never changes: its user's account, as far as its scopes go."""

    user_id: UUID
    token_id: UUID
    scopes: frozenset[str]


class Queries(Protocol):
    """The questions of the use cases."""

    async def passwords_of_address(self, email: str) -> list[StoredPassword]:
        """Return the password of the user with this address in its stored form, if there is one.

        There may be two users, if both accounts are older than the rule that addresses differing in case are one.
        """
        ...

    async def password_of_user(self, user_id: UUID) -> StoredPassword:
        """Return the user's password; raise `Unauthenticated` if there is no such user."""
        ...

    async def invitation(self, code_hash: str) -> Invitation | None:
        """Return the invitation whose code has this hash, in whatever state it is."""
        ...

    async def events_after(self, user_id: UUID, version: int, limit: int) -> list[PostEvent]:
        """Return the first events of the timeline after that version, in order, as far as they are kept."""
        ...

    async def grant(self, token_hash: bytes) -> Grant | None:
        """Return what the personal token with this hash opens, if there is one. It may have expired."""
        ...
