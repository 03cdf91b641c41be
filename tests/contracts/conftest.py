"""The implementations of the ports that every contract test runs on: fakes, and each database."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import URL
from sqlmodel import SQLModel, select

from app.database import schema
from app.database.engines import Database
from app.delivery.outbox import OutboxPolicy, SqlOutbox
from app.ports.queries import Queries
from app.ports.timelines import Timelines
from app.ports.unit_of_work import Transactions
from events.bus import EventBus
from events.relay import Outbox
from events.types import PostEvent
from models import Session, User
from tests.conftest import migrated
from tests.factories import SessionFactory, UserFactory
from tests.fakes.database import InMemoryDatabase, RowT
from tests.fakes.outbox import InMemoryOutbox
from tests.fakes.queries import InMemoryQueries, InMemoryTimelines
from tests.fakes.transactions import InMemoryTransactions
from tests.service import service_on

LISTENER = "recorder"
OUTBOX_POLICY = OutboxPolicy(users_per_batch=3, events_per_batch=12)


@dataclass
class Implementation:
    """One implementation of every port, on one empty database."""

    transactions: Transactions
    queries: Queries
    timelines: Timelines
    outbox: Outbox
    bus: EventBus
    database: InMemoryDatabase | Database

    async def rows(self, model: type[RowT]) -> Sequence[RowT]:
        """Return the committed rows of a model."""
        if isinstance(self.database, InMemoryDatabase):
            return self.database.all(model)
        async with self.database.writing() as session:
            return (await session.exec(select(model))).all()

    async def add(self, *rows: SQLModel) -> None:
        async with self.transactions.begin() as unit:
            for row in rows:
                await unit.add(row)
            await unit.commit()

    async def add_user(self, email: str | None = None) -> User:
        user: User = UserFactory.build(email=email) if email else UserFactory.build()
        async with self.transactions.begin() as unit:
            await unit.users.add(user)
            await unit.commit()
        return user

    async def add_session(self, user_id: UUID) -> Session:
        session: Session = SessionFactory.build(user_id=user_id)
        await self.add(session)
        return session

    async def version_of(self, user_id: UUID) -> int:
        (version,) = [user.timeline_version for user in await self.rows(User) if user.id == user_id]
        return version


@pytest.fixture(params=["memory", "sqlite-memory", "sqlite", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> URL | None:
    """The address of a migrated, empty database; `None` for the fake, in memory."""
    return None if request.param == "memory" else migrated(request.param, request, tmp_path)


@pytest.fixture
async def implementation(url: URL | None) -> AsyncIterator[Implementation]:
    if url is None:
        memory, bus = InMemoryDatabase(), EventBus()
        yield Implementation(
            InMemoryTransactions(memory, bus),
            InMemoryQueries(memory),
            InMemoryTimelines(memory),
            InMemoryOutbox(memory, [LISTENER], OUTBOX_POLICY),
            bus,
            memory,
        )
        return
    database = Database(url, pool_size=5)
    if database.is_in_memory:
        await schema.upgrade(database)
    service = service_on(database)
    yield Implementation(
        service.transactions,
        service.queries,
        service.timelines,
        SqlOutbox(database, [LISTENER], OUTBOX_POLICY),
        service.bus,
        database,
    )
    await database.close()


@pytest.fixture
def published(implementation: Implementation) -> list[PostEvent]:
    """The events of changes that the bus published, oldest first."""
    heard: list[PostEvent] = []

    async def hear(event: PostEvent) -> None:
        await asyncio.sleep(0)
        heard.append(event)

    implementation.bus.subscribe(PostEvent, hear)
    return heard
