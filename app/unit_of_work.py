"""Where people's changes are committed: each, its event and its version become durable together, then are published."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from asyncmy.constants.ER import LOCK_DEADLOCK
from sqlalchemy import insert
from sqlalchemy.exc import OperationalError
from sqlmodel.ext.asyncio.session import AsyncSession

from app.database import Database
from app.errors import Deadlocked
from app.repositories import (
    IdempotencyKeyRepository,
    PostRepository,
    SessionRepository,
    UserRepository,
    WebhookRepository,
)
from app.timeline import Timelines
from events.bus import EventBus
from events.types import DeliveriesQueued, Event, PostEvent
from models import Post, StoredEvent

_INSERT_POSTS = insert(Post)
_INSERT_EVENTS = insert(StoredEvent)


class SqlUnitOfWork:
    """A `UnitOfWork` on one database session."""

    def __init__(self, session: AsyncSession, bus: EventBus, timelines: Timelines) -> None:
        self.users = UserRepository(session)
        self.posts = PostRepository(session)
        self.sessions = SessionRepository(session)
        self.idempotency_keys = IdempotencyKeyRepository(session)
        self.webhooks = WebhookRepository(session)
        self._session = session
        self._bus = bus
        self._timelines = timelines
        self._events: list[Event] = []
        self.is_committed = False

    def record(self, event: Event) -> None:
        """See `UnitOfWork.record`."""
        self._events.append(event)

    async def commit(self) -> None:
        """See `UnitOfWork.commit`."""
        work = asyncio.ensure_future(self._commit_and_publish())
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            # Between the database's commit and the listeners' news lies no point at which to stop: whoever waited is
            # gone, but readers that come now must not be told of the version before.
            await asyncio.wait({work})
            raise

    async def _commit_and_publish(self) -> None:
        users = {event.user_id for event in self._events if not isinstance(event, DeliveriesQueued)}
        await self._insert()
        async with self._timelines.changing(users):
            await self._session.commit()
            self.is_committed = True
        events, self._events = self._events, []
        for event in events:
            await self._bus.publish(event)

    async def _insert(self) -> None:
        # Of these there are many, and nobody asks the session for them: past it, they cost a third.
        connection = await self._session.connection()
        stored = [StoredEvent.values_of(event) for event in self._events if isinstance(event, PostEvent)]
        for statement, rows in ((_INSERT_POSTS, self.posts.take_added()), (_INSERT_EVENTS, stored)):
            if rows:
                await connection.execute(statement, rows)


class SqlUnits:
    """Opens units of work on a database, all publishing to one bus."""

    def __init__(self, database: Database, bus: EventBus, timelines: Timelines) -> None:
        self._database = database
        self._bus = bus
        self._timelines = timelines

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[SqlUnitOfWork]:
        """See `Units.__call__`."""
        async with self._database.writing() as session:
            unit = SqlUnitOfWork(session, self._bus, self._timelines)
            try:
                yield unit
            except OperationalError as error:
                # What fails once the change is durable must not have it made again.
                if _is_deadlock(error) and not unit.is_committed:
                    raise Deadlocked from error
                raise

    async def confirm(self, user_id: UUID) -> None:
        """See `Units.confirm`."""
        async with self._timelines.changing({user_id}):
            pass


def _is_deadlock(error: OperationalError) -> bool:
    return error.orig is not None and error.orig.args[0] == LOCK_DEADLOCK
