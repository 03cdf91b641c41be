"""What the database stored and the bus published, for tests of the transactions in between."""

from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from app.database.engines import Database
from app.service import Policies
from app.storage.post_lists import Page
from events.types import PostEvent, decode
from models import StoredEvent, User
from tests.integration.users import add_user
from tests.service import service_on


class Ledger:
    """What the database stored and the bus published, side by side."""

    def __init__(self, database: Database, policies: Policies | None = None) -> None:
        self.database = database
        service = service_on(database, policies=policies)
        self.bus = service.bus
        self.transactions = service.transactions
        self.queries = service.queries
        self.exports = service.exports
        self.posts = service.posts
        self.pruner = service.pruner
        self.published: list[PostEvent] = []
        self.bus.subscribe(PostEvent, self._hear)

    async def _hear(self, event: PostEvent) -> None:
        self.published.append(event)

    async def add_user(self) -> UUID:
        return await add_user(self.transactions)

    async def stored(self, user_id: UUID) -> list[PostEvent]:
        statement = select(StoredEvent.payload).where(col(StoredEvent.user_id) == user_id).order_by("version")  # type: ignore[call-overload]
        async with self.database.reading() as connection:
            return [decode(payload) for payload in (await connection.execute(statement)).scalars()]

    async def list(self, user_id: UUID) -> Page:
        page = await self.queries.page(user_id)
        assert page is not None
        return page

    async def version(self, user_id: UUID) -> int:
        async with self.database.reading() as connection:
            version: int = (
                await connection.execute(select(col(User.timeline_version)).where(col(User.id) == user_id))
            ).scalar_one()
        return version
