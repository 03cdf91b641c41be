"""The queue of webhook deliveries. A lease lets one process at a time send to a webhook."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel import select as select_entity
from sqlmodel.ext.asyncio.session import AsyncSession

from app.database.engines import Database
from app.delivery import leases
from events.types import PostEvent, decode
from models import DeliveryStatus, StoredEvent, User, Webhook, WebhookDelivery
from models.columns import now
from models.webhook import TEST_VERSION

LEASE = timedelta(seconds=30)
"""Longer than an attempt takes, and what is answered before it is stored."""

_MAX_DELIVERIES_PER_READ = 100
_MAX_EVENTS_PER_READ = 500
_MAX_DUE_PER_CLAIM = 2000


class Attempt(NamedTuple):
    """A delivery that was tried, and how it went."""

    delivery: WebhookDelivery
    outcome: DeliveryStatus
    response_status: int | None
    excerpt: str


class OperatorWebhookStatus(NamedTuple):
    """A webhook of the operator's, and how many deliveries wait for it."""

    id: UUID
    url: str
    events: list[str]
    created_at: datetime
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_reason: str | None
    waiting: int


class WebhookQueue:
    """The pending deliveries of webhooks.

    A process claims a webhook with a lease (`app.delivery.leases`), which it renews whenever it stores attempts. Every
    method that takes a claimed webhook raises `LeaseLost`, and changes nothing, if the lease was lost.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(
        self, limit: int, *, sending: Mapping[Any, int], per_user: int, unproven: int | None = None
    ) -> list[Webhook]:
        """Claim and return webhooks that are due: at most `limit`, and of each user at most `per_user` at a time.

        `sending` has the number of webhooks that this process sends to already, by user. The users that are not in it
        come first, and a user's second webhook comes after the first ones of all others. At most `unproven` of those
        that did not answer quickly the last time are claimed.
        """
        proven = col(Webhook.answers_quickly).is_(True) if unproven == 0 else true()
        found = await self._due(limit, per_user, and_(proven, _ACCOUNT.not_in(list(sending))))
        if len(found) < limit and sending:
            begun = [account for account, count in sending.items() if count < per_user]
            found += await self._due(limit - len(found), per_user, and_(proven, _ACCOUNT.in_(begun)))
        taken = Counter(sending)
        within = list[Webhook]()
        left = len(found) if unproven is None else unproven
        for webhook in found:
            if taken[webhook.account] < per_user and (webhook.answers_quickly or left > 0):
                taken[webhook.account] += 1
                left -= not webhook.answers_quickly
                within.append(webhook)
        return await leases.claim(self._database, within, LEASE)

    async def _due(self, limit: int, per_user: int, condition: ColumnElement[bool]) -> list[Webhook]:
        is_due = col(Webhook.due_at) <= now()
        oldest = (
            select(col(Webhook.id), _ACCOUNT.label("account"))
            .outerjoin(User, col(User.id) == col(Webhook.user_id))
            .where(is_due, col(User.disabled_at).is_(None), condition)
            .order_by(col(Webhook.due_at))
            .limit(_MAX_DUE_PER_CLAIM)
        )
        # In turn here: MariaDB 10.11 has crashed of a window function over such a subquery.
        places = list[tuple[int, UUID]]()
        of_account = Counter[UUID]()
        for row in await self._database.rows(oldest):
            places.append((of_account[row.account], row.id))
            of_account[row.account] += 1
        # Sorting keeps the order of those that have the same place.
        chosen = [id_ for place, id_ in sorted(places, key=itemgetter(0)) if place < per_user][:limit]
        if not chosen:
            return []
        # Another process may have claimed some of them meanwhile.
        due = select_entity(Webhook).where(is_due, col(Webhook.id).in_(chosen))
        found = await leases.read_due(self._database, due)
        return sorted(found, key=lambda webhook: chosen.index(webhook.id))

    async def length(self) -> int:
        """Return how many deliveries are pending."""
        # A webhook without `due_at` has no pending deliveries, so its deliveries need not be counted.
        statement = (
            select(func.count())
            .select_from(Webhook)
            .join(WebhookDelivery, col(WebhookDelivery.webhook_id) == col(Webhook.id))
            .where(col(Webhook.due_at).is_not(None), col(WebhookDelivery.status) == DeliveryStatus.PENDING)
        )
        async with self._database.reading() as connection:
            return (await connection.execute(statement)).scalar_one()

    async def operator_webhooks(self) -> list[OperatorWebhookStatus]:
        """Return the operator's webhooks, oldest first."""
        waiting = (
            select(func.count())
            .where(col(WebhookDelivery.webhook_id) == col(Webhook.id), _HAS_STATUS_PENDING)
            .correlate(Webhook)
            .scalar_subquery()
        )
        columns = [col(getattr(Webhook, name)) for name in OperatorWebhookStatus._fields if name != "waiting"]
        statement = select(*columns, waiting).where(col(Webhook.user_id).is_(None)).order_by(col(Webhook.id))
        return [OperatorWebhookStatus._make(row) for row in await self._database.rows(statement)]

    async def pending(self, webhook: Webhook) -> Sequence[WebhookDelivery]:
        """Return the next pending deliveries, in order. What is to be delivered from history is queued first."""
        while not (found := await self._read_pending(webhook)) and _is_replaying(webhook):
            await self._queue_history(webhook)
        return found

    async def _read_pending(self, webhook: Webhook) -> Sequence[WebhookDelivery]:
        statement = (
            select_entity(WebhookDelivery)
            # The deliveries of a deleted webhook remain until they are pruned.
            .join(Webhook, col(Webhook.id) == col(WebhookDelivery.webhook_id))
            .where(_is_pending(webhook))
            .order_by(col(WebhookDelivery.version))
            .limit(_MAX_DELIVERIES_PER_READ)
        )
        async with AsyncSession(self._database.reader) as session:
            return (await session.exec(statement)).all()

    async def delivered(self, webhook: Webhook, attempts: Sequence[Attempt]) -> None:
        """Store deliveries that succeeded."""
        async with self._storing(webhook, attempts, until=now() + LEASE):
            pass

    async def failed(self, webhook: Webhook, attempts: Sequence[Attempt], retry_at: datetime) -> None:
        """Store attempts of which the last one failed, and retry it at `retry_at`."""
        async with self._storing(webhook, attempts, until=retry_at):
            pass

    async def disabled(self, webhook: Webhook, attempts: Sequence[Attempt], reason: str) -> None:
        """Store attempts of which the last one failed, and disable the webhook."""
        async with self._storing(webhook, attempts, until=now()) as connection:
            await connection.execute(
                update(WebhookDelivery)
                .where(col(WebhookDelivery.webhook_id) == webhook.id, _HAS_STATUS_PENDING)
                .values(status=DeliveryStatus.FAILED)
            )
            await connection.execute(
                update(Webhook)
                .where(col(Webhook.id) == webhook.id)
                .values(due_at=None, disabled_at=now(), disabled_reason=reason)
            )

    async def put_off(self, webhook: Webhook, attempts: Sequence[Attempt], until: datetime) -> None:
        """Store attempts, and end the lease at that time. What is pending stays as it is."""
        async with self._storing(webhook, attempts, until=until):
            pass

    async def hand_over(self, webhook: Webhook, attempts: Sequence[Attempt]) -> None:
        """Store attempts, and end the lease, so that any process may claim the webhook at once."""
        await self.put_off(webhook, attempts, now())

    async def finish(self, webhook: Webhook, attempts: Sequence[Attempt] = ()) -> bool:
        """Store attempts, end the lease if no delivery is pending, and return whether that is so."""
        async with self._storing(webhook, attempts, until=now() + LEASE) as connection:
            # Under the lock on the webhook's row, which queueing a delivery takes first.
            is_pending = select(1).where(_is_pending(webhook)).limit(1)
            is_done = not _is_replaying(webhook) and (await connection.execute(is_pending)).first() is None
            if is_done:
                await connection.execute(update(Webhook).where(col(Webhook.id) == webhook.id).values(due_at=None))
        return is_done

    async def _queue_history(self, webhook: Webhook) -> None:
        """Queue the next changes of the stored history that are to be delivered again, or for the first time."""
        after = webhook.replay_after
        statement = (
            select(col(StoredEvent.version), col(StoredEvent.payload))
            .where(col(StoredEvent.user_id) == webhook.user_id, col(StoredEvent.version) > after)
            .order_by(col(StoredEvent.version))
            .limit(_MAX_EVENTS_PER_READ)
        )
        async with self._storing(webhook, (), until=now() + LEASE) as connection:
            # The relay queues changes under the same lock on the webhook's row. Either it still finds the webhook
            # replaying, and skips a change that is then read here, or it finds the replay over, and queues the change.
            rows = (await connection.execute(statement)).all()
            wanted = [event for event in (decode(row.payload) for row in rows) if webhook.wants(event)]
            await _queue_again(connection, webhook, wanted)
            reached = rows[-1].version if len(rows) == _MAX_EVENTS_PER_READ else None
            await connection.execute(update(Webhook).where(col(Webhook.id) == webhook.id).values(replay_after=reached))
        webhook.replay_after = reached

    @asynccontextmanager
    async def _storing(
        self, webhook: Webhook, attempts: Sequence[Attempt], *, until: datetime
    ) -> AsyncIterator[AsyncConnection]:
        """Yield a transaction in which the webhook's row is locked, its lease renewed, and the attempts stored."""
        values = {name: getattr(webhook, name) for name in _PROGRESS}
        async with leases.renewed(self._database, webhook, until, **values) as connection:
            # Most receivers answer everything alike, so that one statement stores many attempts.
            for _, alike in groupby(attempts, lambda attempt: attempt[1:]):
                await _store(connection, list(alike))
            yield connection


_PROGRESS = ("attempts", "failing_since", "answers_quickly", "delivered_version")
_ACCOUNT = func.coalesce(col(Webhook.user_id), col(Webhook.id))
_HAS_STATUS_PENDING = col(WebhookDelivery.status) == DeliveryStatus.PENDING


async def _store(connection: AsyncConnection, attempts: Sequence[Attempt]) -> None:
    """Store attempts that went alike."""
    delivery, outcome, response_status, excerpt = attempts[0]
    versions = [attempt.delivery.version for attempt in attempts]
    await connection.execute(
        update(WebhookDelivery)
        .where(col(WebhookDelivery.webhook_id) == delivery.webhook_id, col(WebhookDelivery.version).in_(versions))
        .values(
            status=outcome,
            attempts=col(WebhookDelivery.attempts) + 1,
            attempted_at=now(),
            response_status=response_status,
            response_excerpt=excerpt,
        )
    )


def _is_replaying(webhook: Webhook) -> bool:
    return webhook.replay_after is not None and webhook.disabled_at is None


def _is_pending(webhook: Webhook) -> ColumnElement[bool]:
    """Return the condition of what is to be sent next: to a disabled webhook only a test."""
    version = col(WebhookDelivery.version)
    last: ColumnElement[bool] = true()
    if webhook.disabled_at is not None:
        last = version <= TEST_VERSION
    elif webhook.replay_after is not None:
        # Of what lies behind, some is not queued again yet.
        last = version <= webhook.replay_after
    return and_(col(WebhookDelivery.webhook_id) == webhook.id, _HAS_STATUS_PENDING, last)


async def _queue_again(connection: AsyncConnection, webhook: Webhook, events: Sequence[PostEvent]) -> None:
    """Queue events that may have been queued, or delivered, before. What waits already stays as it is."""
    if not events:
        return
    are_these = and_(
        col(WebhookDelivery.webhook_id) == webhook.id,
        col(WebhookDelivery.version).in_([event.version for event in events]),
    )
    known = set((await connection.execute(select(col(WebhookDelivery.version)).where(are_these))).scalars())
    await connection.execute(
        update(WebhookDelivery)
        .where(are_these, ~_HAS_STATUS_PENDING)
        .values(status=DeliveryStatus.PENDING, created_at=now())
    )
    new = [WebhookDelivery.of(webhook, event).model_dump() for event in events if event.version not in known]
    if new:
        await connection.execute(insert(WebhookDelivery), new)
