"""The queue of webhook deliveries. A lease lets one process at a time send to a webhook."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel import select as select_entity
from sqlmodel.ext.asyncio.session import AsyncSession

from app.database.engines import Database
from models import DeliveryStatus, Webhook, WebhookDelivery
from models.columns import now

_LEASE = timedelta(seconds=20)
_MAX_DELIVERIES_PER_READ = 50


class LeaseLost(Exception):
    """The webhook was deleted, or its lease expired and another process claimed it."""


class WebhookQueue:
    """The pending deliveries of webhooks.

    To claim a webhook, a process moves its `due_at` a little into the future: that is the lease. Until then the webhook
    is this process's; each delivery renews the lease, and after it expired another process may claim the webhook. Every
    method that takes a claimed webhook raises `LeaseLost`, and changes nothing, if the lease was lost.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, limit: int) -> list[Webhook]:
        """Claim and return webhooks that are due."""
        due = (
            select_entity(Webhook)
            .where(col(Webhook.due_at) <= now(), col(Webhook.disabled_at).is_(None))
            .order_by(col(Webhook.due_at))
            .limit(limit)
        )
        async with AsyncSession(self._database.reader) as session:
            found = (await session.exec(due)).all()
            session.expunge_all()
        claimed: list[Webhook] = []
        for webhook in found:
            try:
                async with self._renewing_lease(webhook):
                    claimed.append(webhook)
            except LeaseLost:
                continue
        return claimed

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

    async def pending(self, webhook: Webhook) -> Sequence[WebhookDelivery]:
        """Return the next pending deliveries, in order."""
        statement = (
            select_entity(WebhookDelivery)
            # The deliveries of a deleted webhook remain until they are pruned.
            .join(Webhook, col(Webhook.id) == col(WebhookDelivery.webhook_id))
            .where(_is_pending(webhook.id))
            .order_by(col(WebhookDelivery.version))
            .limit(_MAX_DELIVERIES_PER_READ)
        )
        async with AsyncSession(self._database.reader) as session:
            return (await session.exec(statement)).all()

    async def delivered(self, webhook: Webhook, delivery: WebhookDelivery, status: int, excerpt: str) -> None:
        """Store that the delivery succeeded."""
        webhook.attempts, webhook.failing_since = 0, None
        async with self._renewing_lease(webhook) as connection:
            await _store_attempt(connection, delivery, DeliveryStatus.DELIVERED, status, excerpt)

    async def failed(
        self, webhook: Webhook, delivery: WebhookDelivery, status: int | None, excerpt: str, retry_at: datetime
    ) -> None:
        """Store that the delivery failed, and retry it at `retry_at`."""
        webhook.attempts += 1
        webhook.failing_since = webhook.failing_since or now()
        async with self._renewing_lease(webhook, until=retry_at) as connection:
            await _store_attempt(connection, delivery, DeliveryStatus.PENDING, status, excerpt)

    async def disabled(
        self, webhook: Webhook, delivery: WebhookDelivery, status: int | None, excerpt: str, reason: str
    ) -> None:
        """Store that the delivery failed, and disable the webhook."""
        async with self._renewing_lease(webhook) as connection:
            await _store_attempt(connection, delivery, DeliveryStatus.FAILED, status, excerpt)
            await connection.execute(
                update(WebhookDelivery).where(_is_pending(webhook.id)).values(status=DeliveryStatus.FAILED)
            )
            await connection.execute(
                update(Webhook)
                .where(col(Webhook.id) == webhook.id)
                .values(due_at=None, disabled_at=now(), disabled_reason=reason)
            )

    async def hand_over(self, webhook: Webhook) -> None:
        """End the lease while deliveries are pending, so that any process may claim the webhook at once."""
        async with self._renewing_lease(webhook, until=now()):
            pass

    async def finish(self, webhook: Webhook) -> bool:
        """End the lease if no delivery is pending, and return whether that is so."""
        async with self._renewing_lease(webhook) as connection:
            # Under the lock on the webhook's row, which queueing a delivery takes first.
            is_done = (await connection.execute(select(1).where(_is_pending(webhook.id)).limit(1))).first() is None
            if is_done:
                await connection.execute(update(Webhook).where(col(Webhook.id) == webhook.id).values(due_at=None))
        return is_done

    @asynccontextmanager
    async def _renewing_lease(
        self, webhook: Webhook, *, until: datetime | None = None
    ) -> AsyncIterator[AsyncConnection]:
        """Yield a transaction in which the webhook's row is locked, and its lease renewed until then."""
        due_at = until or now() + _LEASE
        statement = (
            update(Webhook)
            .where(col(Webhook.id) == webhook.id, col(Webhook.due_at) == webhook.due_at)
            .values(due_at=due_at, attempts=webhook.attempts, failing_since=webhook.failing_since)
        )
        async with self._database.writer.begin() as connection:
            if not (await connection.execute(statement)).rowcount:
                raise LeaseLost
            yield connection
        webhook.due_at = due_at


def _is_pending(webhook_id: UUID) -> ColumnElement[bool]:
    return and_(col(WebhookDelivery.webhook_id) == webhook_id, col(WebhookDelivery.status) == DeliveryStatus.PENDING)


async def _store_attempt(
    connection: AsyncConnection,
    delivery: WebhookDelivery,
    outcome: DeliveryStatus,
    response_status: int | None,
    excerpt: str,
) -> None:
    await connection.execute(
        update(WebhookDelivery)
        .where(col(WebhookDelivery.webhook_id) == delivery.webhook_id, col(WebhookDelivery.version) == delivery.version)
        .values(
            status=outcome,
            attempts=col(WebhookDelivery.attempts) + 1,
            attempted_at=now(),
            response_status=response_status,
            response_excerpt=excerpt,
        )
    )
