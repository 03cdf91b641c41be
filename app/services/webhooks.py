"""What users do with their webhooks, and what a change means for them."""

from collections.abc import Sequence
from uuid import UUID

from app.errors import NotFound, TooManyWebhooks
from app.ports.security import Destinations
from app.ports.unit_of_work import Transactions, UnitOfWork
from events.types import DeliveriesQueued, PostEvent
from models import Webhook, WebhookCreate, WebhookCreated

MAX_WEBHOOKS = 10


class WebhookService:
    """Registers and deletes one owner's webhooks, and queues their deliveries."""

    def __init__(self, transactions: Transactions, destinations: Destinations) -> None:
        self._transactions = transactions
        self._destinations = destinations

    async def create(self, owner_id: UUID, form: WebhookCreate) -> WebhookCreated:
        """Add a webhook. It gets every change from now on.

        Raises:
            InvalidRequest: The address may not be called.
            TooManyWebhooks: The owner has as many as one user may have.
        """
        await self._destinations.check(form.url)
        return await self._transactions.run(_create, owner_id, form)

    async def delete(self, owner_id: UUID, webhook_id: UUID) -> None:
        """Remove a webhook and its pending deliveries.

        Raises:
            NotFound: The owner has no such webhook.
        """
        await self._transactions.run(_delete, owner_id, webhook_id)

    async def queue(self, events: Sequence[PostEvent]) -> None:
        """Queue events of one user for their webhooks. Idempotent: what is queued already stays as it is."""
        await self._transactions.run(_queue, events)


async def _create(unit: UnitOfWork, owner_id: UUID, form: WebhookCreate) -> WebhookCreated:
    # Under the owner's lock, so that the count stays true, and no change is committed between version and webhook.
    user = await unit.users.lock(owner_id)
    if await unit.webhooks.count(owner_id) >= MAX_WEBHOOKS:
        raise TooManyWebhooks(f"There can be {MAX_WEBHOOKS} webhooks; delete one first.")
    webhook = Webhook(user_id=owner_id, url=form.url, events=form.events, since_version=user.timeline_version)
    await unit.add(webhook)
    await unit.commit()
    return WebhookCreated.model_validate(webhook, from_attributes=True)


async def _delete(unit: UnitOfWork, owner_id: UUID, webhook_id: UUID) -> None:
    if not await unit.webhooks.delete(owner_id, webhook_id):
        raise NotFound(f"There is no webhook {webhook_id}.")
    await unit.commit()


async def _queue(unit: UnitOfWork, events: Sequence[PostEvent]) -> None:
    await unit.webhooks.queue(events[0].user_id, events)
    unit.record(DeliveriesQueued())
    await unit.commit()
