"""Units of work in memory: isolated until they commit, one at a time for each user."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import inspect
from sqlmodel import SQLModel
from typing_extensions import override

from app.errors import Deadlocked, EmailTaken, NotFound, QuotaExceeded, Unauthenticated
from app.ports.unit_of_work import (
    NO_GROWTH,
    ChangeLog,
    IdempotencyKeys,
    Invitations,
    PersonalTokens,
    Posts,
    Sessions,
    Transactions,
    UnitOfWork,
    Users,
    Webhooks,
)
from app.quotas import Growth, Quotas
from events.bus import EventBus
from events.types import Event, PostEvent
from models import IdempotencyKey, Invitation, Mail, Post, Session, User, Webhook, WebhookDelivery
from models.columns import now
from models.user import address_key
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
    def __init__(self, draft: _Draft, changes: ChangeLog, quotas: Quotas) -> None:
        self._draft = draft
        self._changes = changes
        self._quotas = quotas

    @override
    async def add(self, user: User) -> None:
        if any(address_key(other.email) == address_key(user.email) for other in self._draft.rows(User)):
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
    async def change_email(self, user: User, email: str) -> None:
        key = address_key(email)
        if any(address_key(other.email) == key for other in self._draft.rows(User) if other.id != user.id):
            raise EmailTaken
        user.email, user.email_key = email, key

    @override
    async def delete(self, user: User) -> None:
        webhooks = {webhook.id for webhook in self._draft.rows(Webhook) if webhook.user_id == user.id}
        owned: list[Post | Session | IdempotencyKey | Webhook | Mail] = [
            *self._draft.rows(Post),
            *self._draft.rows(Session),
            *self._draft.rows(IdempotencyKey),
            *self._draft.rows(Webhook),
            *self._draft.rows(Mail),
        ]
        for row in owned:
            if row.user_id == user.id:
                self._draft.remove(row)
        for delivery in self._draft.rows(WebhookDelivery):
            if delivery.webhook_id in webhooks or delivery.user_id == user.id:
                self._draft.remove(delivery)
        for invitation in self._draft.rows(Invitation):
            if invitation.used_by == user.id:
                self._draft.remove(invitation)
        self._draft.database.events.pop(user.id, None)
        self._draft.remove(user)

    @override
    async def advance_timeline(self, user_id: UUID, growth: Growth = NO_GROWTH, *, by: int = 1) -> int:
        await self.grow(user_id, growth)
        user = await self.lock(user_id)
        user.timeline_version += by
        user.counted_version += by
        self._changes.advance(user_id, user.timeline_version, by)
        return user.timeline_version

    @override
    async def advance_timelines(
        self, changes: Mapping[UUID, int], growth: Mapping[UUID, Growth]
    ) -> Mapping[UUID, int | None]:
        versions: dict[UUID, int | None] = {}
        for user_id, by in changes.items():
            if len(changes) > 1 and self._draft.is_locked_elsewhere(user_id):
                continue
            try:
                versions[user_id] = await self.advance_timeline(user_id, growth[user_id], by=by)
            except QuotaExceeded:
                versions[user_id] = None
            except Unauthenticated:
                continue
        return versions

    @override
    async def grow(self, user_id: UUID, growth: Growth) -> None:
        user = await self.lock(user_id)
        self._quotas.check(user, growth)
        user.post_count += growth.posts
        user.post_bytes += growth.bytes
        self._changes.count(user_id, growth)


class _Posts(Posts):
    def __init__(self, draft: _Draft, changes: ChangeLog) -> None:
        self._draft = draft
        self._changes = changes

    @override
    async def add(self, posts: Sequence[Post]) -> None:
        for post in posts:
            self._changes.add(post)
            self._draft.add(post)

    @override
    async def get_all(self, owner_id: UUID, post_ids: Collection[UUID]) -> Mapping[UUID, Post]:
        found = [post for post in self._draft.rows(Post) if post.user_id == owner_id and post.id in post_ids]
        for post in found:
            self._changes.hand_out(post)
        return {post.id: post for post in found}

    @override
    async def remove(self, owner_id: UUID, posts: Sequence[Post]) -> None:
        for post in posts:
            self._changes.remove(post)
            self._draft.remove(post)

    @override
    async def existing(self, owner_id: UUID, post_ids: Collection[UUID]) -> Set[UUID]:
        return {post.id for post in self._draft.rows(Post) if post.user_id == owner_id} & set(post_ids)


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

    def _log_ins_of(self, user_id: UUID) -> list[Session]:
        return [session for session in self._of(user_id) if session.token_hash is None]

    @override
    async def end(self, user_id: UUID, session_id: UUID) -> bool:
        found = [session for session in self._log_ins_of(user_id) if session.id == session_id]
        for session in found:
            self._draft.remove(session)
        return bool(found)

    @override
    async def end_all(self, user_id: UUID) -> None:
        for session in self._of(user_id):
            self._draft.remove(session)

    @override
    async def end_log_ins(self, user_id: UUID, *, but: UUID | None = None) -> None:
        for session in self._log_ins_of(user_id):
            if session.id != but:
                self._draft.remove(session)

    @override
    async def end_unused(self, user_id: UUID, *, keep: int) -> None:
        log_ins = self._log_ins_of(user_id)
        newest_first = sorted(log_ins, key=lambda session: (session.last_used_at, session.id), reverse=True)
        for session in newest_first[keep:]:
            self._draft.remove(session)


class _Invitations(Invitations):
    def __init__(self, draft: _Draft) -> None:
        self._draft = draft

    @override
    async def lock(self, invitation_id: UUID) -> Invitation | None:
        await self._draft.lock(Invitation, invitation_id)
        return next((one for one in self._draft.rows(Invitation) if one.id == invitation_id), None)


class _PersonalTokens(PersonalTokens):
    def __init__(self, draft: _Draft) -> None:
        self._draft = draft

    def _of(self, user_id: UUID) -> list[Session]:
        sessions = self._draft.rows(Session)
        return [session for session in sessions if session.user_id == user_id and session.token_hash is not None]

    @override
    async def count(self, user_id: UUID, at: datetime) -> int:
        return len([token for token in self._of(user_id) if token.expires_at > at])

    @override
    async def end(self, user_id: UUID, token_id: UUID) -> bool:
        found = [token for token in self._of(user_id) if token.id == token_id]
        for token in found:
            self._draft.remove(token)
        return bool(found)

    @override
    async def end_all(self, user_id: UUID) -> None:
        for token in self._of(user_id):
            self._draft.remove(token)


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

    def _of(self, owner_id: UUID | None) -> list[Webhook]:
        return [webhook for webhook in self._draft.rows(Webhook) if webhook.user_id == owner_id]

    @override
    async def count(self, owner_id: UUID) -> int:
        return len(self._of(owner_id))

    @override
    async def lock(self, owner_id: UUID, webhook_id: UUID) -> Webhook:
        await self._draft.lock(Webhook, webhook_id)
        for webhook in self._of(owner_id):
            if webhook.id == webhook_id:
                return webhook
        raise NotFound(f"There is no webhook {webhook_id}.")

    @override
    async def delete(self, owner_id: UUID | None, webhook_id: UUID) -> bool:
        found = [webhook for webhook in self._of(owner_id) if webhook.id == webhook_id]
        for webhook in found:
            self._draft.remove(webhook)
        return bool(found)

    @override
    async def test(self, webhook: Webhook) -> WebhookDelivery:
        test = WebhookDelivery.test_of(webhook)
        self._draft.add(test)
        return test

    @override
    async def end_leases(self, owner_id: UUID) -> None:
        for webhook in self._of(owner_id):
            if webhook.due_at is not None:
                webhook.due_at = now()

    @override
    async def queue(self, owner_id: UUID, events: Sequence[PostEvent]) -> None:
        for webhook in self._of(owner_id):
            queued = {row.version for row in self._deliveries(webhook)}
            for event in events if webhook.disabled_at is None and webhook.replay_after is None else ():
                if webhook.wants(event) and event.version not in queued:
                    self._draft.add(WebhookDelivery.of(webhook, event))
        for webhook in self._of(None):
            known = {(row.user_id, row.timeline_version) for row in self._deliveries(webhook)}
            number = max((row.version for row in self._deliveries(webhook)), default=0)
            for event in events if webhook.disabled_at is None and self._is_user(owner_id) else ():
                if event.type in webhook.events and (event.user_id, event.version) not in known:
                    number += 1
                    self._draft.add(WebhookDelivery.of_anybody(webhook, event, number))

    def _deliveries(self, webhook: Webhook) -> list[WebhookDelivery]:
        return [row for row in self._draft.rows(WebhookDelivery) if row.webhook_id == webhook.id]

    def _is_user(self, user_id: UUID) -> bool:
        return any(user.id == user_id for user in self._draft.rows(User))


class InMemoryUnitOfWork(UnitOfWork):
    """A unit of work on a draft of the database."""

    def __init__(self, draft: _Draft, bus: EventBus, quotas: Quotas) -> None:
        changes = ChangeLog()
        super().__init__(changes)
        self.users = _Users(draft, changes, quotas)
        self.posts = _Posts(draft, changes)
        self.sessions = _Sessions(draft)
        self.invitations = _Invitations(draft)
        self.personal_tokens = _PersonalTokens(draft)
        self.idempotency_keys = _IdempotencyKeys(draft)
        self.webhooks = _Webhooks(draft)
        self._draft = draft
        self._bus = bus

    @override
    async def _add(self, row: SQLModel) -> None:
        self._draft.add(row)

    @override
    async def _get(self, model: type[_Owned], owner_id: UUID, row_id: UUID) -> _Owned:
        for row in self._draft.rows(model):
            if (getattr(row, "id", None), getattr(row, "user_id", None)) == (row_id, owner_id):
                return row
        raise NotFound(f"There is no {model.__name__.lower()} {row_id}.")

    @override
    async def _delete(self, row: SQLModel) -> None:
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

    def __init__(self, database: InMemoryDatabase, bus: EventBus, quotas: Quotas | None = None) -> None:
        super().__init__(quotas or Quotas())
        self._database = database
        self._bus = bus

    @override
    @asynccontextmanager
    async def _open(self) -> AsyncIterator[InMemoryUnitOfWork]:
        draft = _Draft(self._database)
        try:
            yield InMemoryUnitOfWork(draft, self._bus, self.quotas)
        finally:
            draft.release()
