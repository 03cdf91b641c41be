"""What the database stored and the bus published, for tests of the transactions in between."""

from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from app.database import Database
from app.ports.reads import Page
from app.reads import DatabaseReads
from app.services.posts import PostService
from app.timeline import DatabaseTimelines
from app.timeline_reads import TimelineReads
from app.unit_of_work import SqlUnits
from events.bus import EventBus
from events.types import PostEvent, decode
from models import StoredEvent, User
from tests.integration.users import add_user


class Ledger:
    """What the database stored and the bus published, side by side."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.bus = EventBus()
        reads = DatabaseReads(database)
        self.units = SqlUnits(database, self.bus, DatabaseTimelines(TimelineReads(database).live_version))
        self.posts = PostService(self.units, reads)
        self.published: list[PostEvent] = []
        self.bus.subscribe(PostEvent, self._hear)

    async def _hear(self, event: PostEvent) -> None:
        self.published.append(event)

    async def add_user(self) -> UUID:
        return await add_user(self.units)

    async def stored(self, user_id: UUID) -> list[PostEvent]:
        statement = select(StoredEvent.payload).where(col(StoredEvent.user_id) == user_id).order_by("version")  # type: ignore[call-overload]
        async with self.database.reading() as connection:
            return [decode(payload) for payload in (await connection.execute(statement)).scalars()]

    async def list(self, user_id: UUID) -> Page:
        page = await self.posts.page(user_id)
        assert page is not None
        return page

    async def version(self, user_id: UUID) -> int:
        async with self.database.reading() as connection:
            version: int = (
                await connection.execute(select(col(User.timeline_version)).where(col(User.id) == user_id))
            ).scalar_one()
        return version
