"""The queue of what webhooks are still to be told: one process at a time tells one webhook."""

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
_DELIVERIES_AT_A_TIME = 50


class LeaseLost(Exception):
    """The webhook was deleted, or another process has taken it over."""


class WebhookQueue:
    """What webhooks are still to be told.

    Who claims a webhook moves its `due_at` a little into the future. While that is what they wrote, the webhook is
    theirs; when it has passed, others may take it over. Each method that is given a claimed webhook raises `LeaseLost`
    when it is not theirs any more, and changes nothing then.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, limit: int) -> list[Webhook]:
        """Return webhooks that are due, and now claimed."""
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
                async with self._holding(webhook):
                    claimed.append(webhook)
            except LeaseLost:
                continue
        return claimed

    async def length(self) -> int:
        """Return how many deliveries are pending."""
        # Those of a webhook that nothing is due for are all told: its row says so, and theirs need not be looked at.
        statement = (
            select(func.count())
            .select_from(Webhook)
            .join(WebhookDelivery, col(WebhookDelivery.webhook_id) == col(Webhook.id))
            .where(col(Webhook.due_at).is_not(None), col(WebhookDelivery.status) == DeliveryStatus.PENDING)
        )
        async with self._database.reading() as connection:
            return (await connection.execute(statement)).scalar_one()

    async def pending(self, webhook: Webhook) -> Sequence[WebhookDelivery]:
        """Return the next deliveries, in order."""
        statement = (
            select_entity(WebhookDelivery)
            # A webhook's deliveries may be there for a while after it.
            .join(Webhook, col(Webhook.id) == col(WebhookDelivery.webhook_id))
            .where(_is_pending(webhook.id))
            .order_by(col(WebhookDelivery.version))
            .limit(_DELIVERIES_AT_A_TIME)
        )
        async with AsyncSession(self._database.reader) as session:
            return (await session.exec(statement)).all()

    async def delivered(self, webhook: Webhook, delivery: WebhookDelivery, status: int, excerpt: str) -> None:
        """Keep that the receiver took the delivery."""
        webhook.attempts, webhook.failing_since = 0, None
        async with self._holding(webhook) as connection:
            await _keep_attempt(connection, delivery, DeliveryStatus.DELIVERED, status, excerpt)

    async def failed(
        self, webhook: Webhook, delivery: WebhookDelivery, status: int | None, excerpt: str, retry_at: datetime
    ) -> None:
        """Keep that the receiver did not take the delivery, and is to be tried again."""
        webhook.attempts += 1
        webhook.failing_since = webhook.failing_since or now()
        async with self._holding(webhook, until=retry_at) as connection:
            await _keep_attempt(connection, delivery, DeliveryStatus.PENDING, status, excerpt)

    async def disabled(
        self, webhook: Webhook, delivery: WebhookDelivery, status: int | None, excerpt: str, reason: str
    ) -> None:
        """Keep that the receiver did not take the delivery, and is not to be told anything more."""
        async with self._holding(webhook) as connection:
            await _keep_attempt(connection, delivery, DeliveryStatus.FAILED, status, excerpt)
            await connection.execute(
                update(WebhookDelivery).where(_is_pending(webhook.id)).values(status=DeliveryStatus.FAILED)
            )
            await connection.execute(
                update(Webhook)
                .where(col(Webhook.id) == webhook.id)
                .values(due_at=None, disabled_at=now(), disabled_reason=reason)
            )

    async def hand_over(self, webhook: Webhook) -> None:
        """Give the webhook back before all is told: whoever comes next may claim it at once."""
        async with self._holding(webhook, until=now()):
            pass

    async def finish(self, webhook: Webhook) -> bool:
        """Give the webhook back if nothing is left to tell it, and return whether that is so."""
        async with self._holding(webhook) as connection:
            # Under the webhook's lock: who queues something takes it too, and first.
            is_done = (await connection.execute(select(1).where(_is_pending(webhook.id)).limit(1))).first() is None
            if is_done:
                await connection.execute(update(Webhook).where(col(Webhook.id) == webhook.id).values(due_at=None))
        return is_done

    @asynccontextmanager
    async def _holding(self, webhook: Webhook, *, until: datetime | None = None) -> AsyncIterator[AsyncConnection]:
        """Yield a transaction in which the webhook is locked, and claimed until then."""
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


async def _keep_attempt(
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
