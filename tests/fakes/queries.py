"""What use cases read, and the versions of timelines, from the database in memory."""

from uuid import UUID

from typing_extensions import override

from app.errors import Unauthenticated
from app.ports.queries import Grant, Queries, StoredPassword
from app.ports.timelines import Timelines
from events.types import PostEvent
from models import Invitation, Session, User
from models.columns import now
from models.user import address_key
from tests.fakes.database import InMemoryDatabase


class InMemoryQueries(Queries):
    """The questions of the use cases."""

    def __init__(self, database: InMemoryDatabase) -> None:
        self._database = database

    @override
    async def passwords_of_address(self, email: str) -> list[StoredPassword]:
        return [_password(user) for user in self._database.all(User) if address_key(user.email) == address_key(email)]

    @override
    async def password_of_user(self, user_id: UUID) -> StoredPassword:
        user = self._database.user(user_id)
        if user is None:
            raise Unauthenticated
        return _password(user)

    @override
    async def invitation(self, code_hash: str) -> Invitation | None:
        return next((one for one in self._database.all(Invitation) if one.code_hash == code_hash), None)

    @override
    async def events_after(self, user_id: UUID, version: int, limit: int) -> list[PostEvent]:
        events = self._database.events[user_id]
        return [events[number] for number in sorted(events) if number > version][:limit]

    @override
    async def grant(self, token_hash: bytes) -> Grant | None:
        for token in self._database.all(Session):
            if token.token_hash == token_hash:
                return Grant(token.user_id, token.id, frozenset(token.scopes or ()))
        return None


class InMemoryTimelines(Timelines):
    """The versions as they are committed."""

    def __init__(self, database: InMemoryDatabase) -> None:
        self._database = database

    @override
    async def version(self, user_id: UUID, session_id: UUID) -> int | None:
        user = self._database.user(user_id)
        live = [session.id for session in self._database.sessions(user_id) if session.expires_at > now()]
        return user.timeline_version if user is not None and session_id in live else None


def _password(user: User) -> StoredPassword:
    return StoredPassword(user.id, user.password_hash, user.password_version)
