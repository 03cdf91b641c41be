"""Units of work in memory: isolated until they commit, one at a time for each user."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import inspect
from sqlmodel import SQLModel
from typing_extensions import override

from app.errors import Deadlocked, EmailTaken, NotFound, Unauthenticated
from app.ports.unit_of_work import (
    ChangeLog,
    IdempotencyKeys,
    Posts,
    Sessions,
    Transactions,
    UnitOfWork,
    Users,
    Webhooks,
)
from events.bus import EventBus
from events.types import Event, PostEvent
from models import IdempotencyKey, Post, Session, User, Webhook, WebhookDelivery
from models.columns import now
from tests.fakes.database import InMemoryDatabase, RowT, copied

_Owned = TypeVar("_Owned", bound=SQLModel)


class _Draft:
    """What one transaction sees: the committed rows, and its own changes on top of them."""

    def __init__(self, database: InMemoryDatabase) -> None:
        self.database = database
        self._changed: dict[tuple[type[SQLModel], Any], SQLModel | None] = {}
        self._held: list[asyncio.Lock] = []

    def add(self, row: SQLModel) -> None:
        self._changed[type(row), _key(row)] = row

    def remove(self, row: SQLModel) -> None:
        self._changed[type(row), _key(row)] = None

    def rows(self, model: type[RowT]) -> list[RowT]:
        """Return the rows; what the caller changes in them is committed with the transaction."""
        for key, row in self.database.rows[model].items():
            self._changed.setdefault((model, key), copied(row))
        return [row for (of, _), row in self._changed.items() if of is model and row is not None]  # type: ignore[misc]

    async def lock(self, model: type[SQLModel], row_id: UUID) -> None:
        """Lock a row until the transaction ends, and read it again: another one may have committed meanwhile."""
        lock = self.database.locks[row_id]
        if lock not in self._held:
            await lock.acquire()
            self._held.append(lock)
            self._changed.pop((model, (row_id,)), None)

    def is_locked_elsewhere(self, user_id: UUID) -> bool:
        lock = self.database.locks[user_id]
        return lock.locked() and lock not in self._held

    def commit(self) -> None:
        for (model, key), row in self._changed.items():
            if row is None:
                self.database.rows[model].pop(key, None)
            else:
                self.database.rows[model][key] = copied(row)

    def discard(self) -> None:
        self._changed = {}

    def release(self) -> None:
        for lock in self._held:
            lock.release()
        self._held = []


def _key(row: SQLModel) -> Any:
    return tuple(getattr(row, str(column.key)) for column in inspect(type(row)).primary_key)


class _Users(Users):
    def __init__(self, draft: _Draft, changes: ChangeLog) -> None:
        self._draft = draft
        self._changes = changes

    @override
    async def add(self, user: User) -> None:
        if any(other.email == user.email for other in self._draft.rows(User)):
            raise EmailTaken
        self._draft.add(user)

    @override
    async def lock(self, user_id: UUID) -> User:
        await self._draft.lock(User, user_id)
        user = next((user for user in self._draft.rows(User) if user.id == user_id), None)
        if user is None:
            raise Unauthenticated
        return user

    @override
    async def delete(self, user: User) -> None:
        webhooks = {webhook.id for webhook in self._draft.rows(Webhook) if webhook.user_id == user.id}
        owned: list[Post | Session | IdempotencyKey | Webhook] = [
            *self._draft.rows(Post),
            *self._draft.rows(Session),
            *self._draft.rows(IdempotencyKey),
            *self._draft.rows(Webhook),
        ]
        for row in owned:
            if row.user_id == user.id:
                self._draft.remove(row)
        for delivery in self._draft.rows(WebhookDelivery):
            if delivery.webhook_id in webhooks:
                self._draft.remove(delivery)
        self._draft.database.events.pop(user.id, None)
        self._draft.remove(user)

    @override
    async def advance_timeline(self, user_id: UUID) -> int:
        user = await self.lock(user_id)
        user.timeline_version += 1
        self._changes.advance(user_id, user.timeline_version)
        return user.timeline_version

    @override
    async def advance_timelines(self, changes: Mapping[UUID, int]) -> Mapping[UUID, int]:
        versions: dict[UUID, int] = {}
        for user_id, by in changes.items():
            if len(changes) > 1 and self._draft.is_locked_elsewhere(user_id):
                continue
            with suppress(Unauthenticated):
                user = await self.lock(user_id)
                user.timeline_version += by
                versions[user_id] = user.timeline_version
                self._changes.advance(user_id, user.timeline_version, by)
        return versions


class _Posts(Posts):
    def __init__(self, draft: _Draft) -> None:
        self._draft = draft

    @override
    async def add(self, posts: Sequence[Post]) -> None:
        for post in posts:
            self._draft.add(post)


class _Sessions(Sessions):
    def __init__(self, draft: _Draft) -> None:
        self._draft = draft

    def _of(self, user_id: UUID) -> list[Session]:
        return [session for session in self._draft.rows(Session) if session.user_id == user_id]

    @override
    async def lock(self, session_id: UUID, at: datetime) -> Session | None:
        await self._draft.lock(Session, session_id)
        found = [row for row in self._draft.rows(Session) if row.id == session_id and row.expires_at > at]
        return found[0] if found else None

    @override
    async def end(self, user_id: UUID, session_id: UUID) -> bool:
        found = [session for session in self._of(user_id) if session.id == session_id]
        for session in found:
            self._draft.remove(session)
        return bool(found)

    @override
    async def end_all(self, user_id: UUID, *, but: UUID | None = None) -> None:
        for session in self._of(user_id):
            if session.id != but:
                self._draft.remove(session)

    @override
    async def end_unused(self, user_id: UUID, *, keep: int) -> None:
        newest_first = sorted(self._of(user_id), key=lambda session: (session.last_used_at, session.id), reverse=True)
        for session in newest_first[keep:]:
            self._draft.remove(session)


class _IdempotencyKeys(IdempotencyKeys):
    def __init__(self, draft: _Draft) -> None:
        self._draft = draft

    @override
    async def get(self, user_id: UUID, key: str) -> IdempotencyKey | None:
        oldest = now() - IdempotencyKey.lifetime
        for used in self._draft.rows(IdempotencyKey):
            if (used.user_id, used.key) == (user_id, key) and used.created_at > oldest:
                return used
        return None

    @override
    async def put(self, used: IdempotencyKey) -> None:
        self._draft.add(used)


class _Webhooks(Webhooks):
    def __init__(self, draft: _Draft) -> None:
        self._draft = draft

    def _of(self, owner_id: UUID) -> list[Webhook]:
        return [webhook for webhook in self._draft.rows(Webhook) if webhook.user_id == owner_id]

    @override
    async def count(self, owner_id: UUID) -> int:
        return len(self._of(owner_id))

    @override
    async def delete(self, owner_id: UUID, webhook_id: UUID) -> bool:
        found = [webhook for webhook in self._of(owner_id) if webhook.id == webhook_id]
        for webhook in found:
            self._draft.remove(webhook)
        return bool(found)

    @override
    async def queue(self, owner_id: UUID, events: Sequence[PostEvent]) -> None:
        for webhook in self._of(owner_id):
            queued = {row.version for row in self._draft.rows(WebhookDelivery) if row.webhook_id == webhook.id}
            for event in events:
                if webhook.disabled_at is None and webhook.wants(event) and event.version not in queued:
                    self._draft.add(WebhookDelivery.of(webhook, event))


class InMemoryUnitOfWork(UnitOfWork):
    """A unit of work on a draft of the database."""

    def __init__(self, draft: _Draft, bus: EventBus) -> None:
        changes = ChangeLog()
        super().__init__(changes)
        self.users = _Users(draft, changes)
        self.posts = _Posts(draft)
        self.sessions = _Sessions(draft)
        self.idempotency_keys = _IdempotencyKeys(draft)
        self.webhooks = _Webhooks(draft)
        self._draft = draft
        self._bus = bus

    @override
    async def add(self, row: SQLModel) -> None:
        self._draft.add(row)

    @override
    async def get(self, model: type[_Owned], owner_id: UUID, row_id: UUID) -> _Owned:
        for row in self._draft.rows(model):
            if (getattr(row, "id", None), getattr(row, "user_id", None)) == (row_id, owner_id):
                return row
        raise NotFound(f"There is no {model.__name__.lower()} {row_id}.")

    @override
    async def delete(self, row: SQLModel) -> None:
        self._draft.remove(row)

    @override
    async def _commit(self, events: Sequence[Event]) -> None:
        database = self._draft.database
        if database.lost_deadlocks:
            database.lost_deadlocks -= 1
            raise Deadlocked
        self._draft.commit()
        database.commits += 1
        for event in events:
            if isinstance(event, PostEvent):
                database.events[event.user_id][event.version] = event
        self._draft.release()
        for event in events:
            await self._bus.publish(event)

    @override
    async def _rollback(self) -> None:
        self._draft.discard()


class InMemoryTransactions(Transactions):
    """Opens units of work that publish to one bus."""

    def __init__(self, database: InMemoryDatabase, bus: EventBus) -> None:
        self._database = database
        self._bus = bus

    @override
    @asynccontextmanager
    async def _open(self) -> AsyncIterator[InMemoryUnitOfWork]:
        draft = _Draft(self._database)
        try:
            yield InMemoryUnitOfWork(draft, self._bus)
        finally:
            draft.release()
