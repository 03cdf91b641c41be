"""The one place where people's changes are committed: a change, its event and its version become durable together."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Protocol, TypeVar
from uuid import UUID

from asyncmy.constants.ER import LOCK_DEADLOCK
from sqlalchemy import insert, inspect
from sqlalchemy.exc import OperationalError
from sqlmodel import SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession
from typing_extensions import override

from app.database.engines import Database
from app.errors import Deadlocked, NotFound
from app.ports.unit_of_work import ChangeLog, Transactions, UnitOfWork
from app.quotas import Quotas
from app.storage.idempotency_keys import IdempotencyKeyRepository
from app.storage.invitations import InvitationRepository
from app.storage.policy import RetentionPolicy
from app.storage.posts import PostRepository
from app.storage.sessions import PersonalTokenRepository, SessionRepository
from app.storage.users import UserRepository
from app.storage.webhooks import WebhookRepository
from events.bus import EventBus
from events.types import Event, PostEvent
from models import StoredEvent

_Owned = TypeVar("_Owned", bound=SQLModel)

_INSERT_EVENTS = insert(StoredEvent)


class CommitTracing(Protocol):
    """Follows commits, for distributed tracing."""

    def commit(self) -> AbstractContextManager[None]:
        """Enclose one commit."""
        ...

    def mark(self, event: PostEvent) -> PostEvent:
        """Return the event with the place of the current request in a trace."""
        ...


class SqlUnitOfWork(UnitOfWork):
    """A unit of work on one database session."""

    def __init__(
        self,
        session: AsyncSession,
        bus: EventBus,
        tracing: CommitTracing,
        retention: RetentionPolicy,
        quotas: Quotas,
    ) -> None:
        changes = ChangeLog()
        super().__init__(changes)
        self.users = UserRepository(session, changes, retention, quotas)
        self.posts = PostRepository(session, changes)
        self.sessions = SessionRepository(session)
        self.invitations = InvitationRepository(session)
        self.personal_tokens = PersonalTokenRepository(session)
        self.idempotency_keys = IdempotencyKeyRepository(session)
        self.webhooks = WebhookRepository(session)
        self.is_committed = False
        self._session = session
        self._bus = bus
        self._tracing = tracing

    @override
    async def _add(self, row: SQLModel) -> None:
        self._session.add(row)

    @override
    async def _get(self, model: type[_Owned], owner_id: UUID, row_id: UUID) -> _Owned:
        columns = inspect(model).columns
        statement = select(model).where(columns["id"] == row_id, columns["user_id"] == owner_id)
        row = (await self._session.exec(statement)).one_or_none()
        if row is None:
            raise NotFound(f"There is no {model.__name__.lower()} {row_id}.")
        return row

    @override
    async def _delete(self, row: SQLModel) -> None:
        await self._session.delete(row)

    @override
    def record(self, event: Event) -> None:
        super().record(self._tracing.mark(event) if isinstance(event, PostEvent) else event)

    @override
    async def _commit(self, events: Sequence[Event]) -> None:
        with self._tracing.commit():
            work = asyncio.ensure_future(self._commit_and_publish(events))
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError:
                # The client is gone, but between the database's commit and the bus nothing may stop: readers that come
                # now must not be answered from the version before.
                await asyncio.wait({work})
                raise

    async def _commit_and_publish(self, events: Sequence[Event]) -> None:
        stored = [StoredEvent.values_of(event) for event in events if isinstance(event, PostEvent)]
        if stored:
            # Past the ORM session: nothing looks these rows up in it, and it would add half of the cost again.
            await (await self._session.connection()).execute(_INSERT_EVENTS, stored)
        await self._session.commit()
        self.is_committed = True
        for event in events:
            await self._bus.publish(event)

    @override
    async def _rollback(self) -> None:
        await self._session.rollback()


class SqlTransactions(Transactions):
    """Opens units of work on a database, which publish to one bus."""

    def __init__(
        self,
        database: Database,
        bus: EventBus,
        tracing: CommitTracing,
        retention: RetentionPolicy,
        quotas: Quotas | None = None,
    ) -> None:
        super().__init__(quotas or Quotas())
        self._database = database
        self._retention = retention
        self._bus = bus
        self._tracing = tracing

    @override
    @asynccontextmanager
    async def _open(self) -> AsyncIterator[SqlUnitOfWork]:
        async with self._database.writing() as session:
            unit = SqlUnitOfWork(session, self._bus, self._tracing, self._retention, self.quotas)
            try:
                yield unit
                if unit.is_committed:
                    # A change must not be acknowledged that went to a file which is no longer there.
                    self._database.check_file()
            except OperationalError as error:
                # A failure after the commit must not make the change a second time.
                if _is_deadlock(error) and not unit.is_committed:
                    raise Deadlocked from error
                raise


def _is_deadlock(error: OperationalError) -> bool:
    return error.orig is not None and error.orig.args[0] == LOCK_DEADLOCK
