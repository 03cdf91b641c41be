"""What a person does with their webhooks, and what changes mean for them."""

from collections.abc import Collection, Sequence
from uuid import UUID

from app.errors import NotFound, TooManyWebhooks
from app.ports.reads import Reads
from app.ports.security import Destinations
from app.ports.transactions import Units
from app.services.repeating import repeats_when_deadlocked
from events.types import DeliveriesQueued, PostEvent
from models import Webhook, WebhookCreate, WebhookCreated, WebhookDeliveryRead, WebhookRead

MOST_WEBHOOKS = 10
_RECENT = 100


class WebhookService:
    """Registers, lists and removes one owner's webhooks, and queues what they are told."""

    def __init__(self, units: Units, reads: Reads, destinations: Destinations) -> None:
        self._units = units
        self._reads = reads
        self._destinations = destinations

    @repeats_when_deadlocked
    async def register(self, owner_id: UUID, form: WebhookCreate) -> WebhookCreated:
        """Add a webhook, which is told of every change from now on.

        Raises:
            InvalidRequest: The address is none that may be called.
            TooManyWebhooks: The owner has as many as one may have.
        """
        await self._destinations.check(form.url)
        async with self._units() as unit:
            # Under the owner's lock: the count stays what it is, and no change comes between.
            user = await unit.users.lock(owner_id)
            if await unit.webhooks.count(owner_id) >= MOST_WEBHOOKS:
                raise TooManyWebhooks(f"There can be {MOST_WEBHOOKS} webhooks; delete one first.")
            webhook = Webhook(user_id=owner_id, url=form.url, events=form.events, since_version=user.timeline_version)
            unit.webhooks.add(webhook)
            await unit.commit()
        return WebhookCreated.model_validate(webhook, from_attributes=True)

    async def list(self, owner_id: UUID) -> list[WebhookRead]:
        """Return the owner's webhooks, newest first."""
        return await self._reads.webhooks(owner_id)

    @repeats_when_deadlocked
    async def remove(self, owner_id: UUID, webhook_id: UUID) -> None:
        """Remove a webhook, and what it was still to be told.

        Raises:
            NotFound: The owner has no such webhook.
        """
        async with self._units() as unit:
            if not await unit.webhooks.remove(owner_id, webhook_id):
                raise NotFound(f"There is no webhook {webhook_id}.")
            await unit.commit()

    async def recent_deliveries(self, owner_id: UUID, webhook_id: UUID) -> Sequence[WebhookDeliveryRead]:
        """Return what the webhook was told, and is still to be told, newest first, the last hundred.

        Raises:
            NotFound: The owner has no such webhook.
        """
        return await self._reads.webhook_deliveries(owner_id, webhook_id, _RECENT)

    async def owners_among(self, user_ids: Collection[UUID]) -> Collection[UUID]:
        """Return those of the users who have a webhook that is to be told something."""
        return await self._reads.webhook_owners(user_ids)

    async def queue(self, events: Sequence[PostEvent]) -> None:
        """Queue events of one user for their webhooks; what is queued already is left as it is."""
        async with self._units() as unit:
            await unit.webhooks.queue(events[0].user_id, events)
            unit.record(DeliveriesQueued())
            await unit.commit()
