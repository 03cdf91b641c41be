"""What use cases read outside of transactions. Each question is answered from one snapshot of its own.

Controllers read through `app.storage.queries` themselves.
"""

from typing import NamedTuple, Protocol
from uuid import UUID

from events.types import PostEvent


class StoredPassword(NamedTuple):
    """A user's password hash, and the password's version, which tells whether it was changed since it was read."""

    user_id: UUID
    hash: str
    version: int


class Queries(Protocol):
    """The questions of the use cases."""

    async def password_of_address(self, email: str) -> StoredPassword | None:
        """Return the password of the user with this address, if there is one."""
        ...

    async def password_of_user(self, user_id: UUID) -> StoredPassword:
        """Return the user's password; raise `Unauthenticated` if there is no such user."""
        ...

    async def events_after(self, user_id: UUID, version: int, limit: int) -> list[PostEvent]:
        """Return the first events of the timeline after that version, in order, as far as they are kept."""
        ...
