"""What users do with their webhooks, and what a change means for them."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from app.errors import HistoryNotKept, NotFound
from app.ports.queries import Queries
from app.ports.security import Destinations
from app.ports.unit_of_work import Transactions, UnitOfWork
from app.quotas import Quotas
from app.services.idempotency import earlier_use
from app.shares import Share
from events.types import DeliveriesQueued, PostEvent
from models import (
    IdempotencyKey,
    Webhook,
    WebhookCreate,
    WebhookCreated,
    WebhookDeliveryRead,
    WebhookRead,
    WebhookUpdate,
)
from models.columns import now


class RegisteredWebhook(NamedTuple):
    """A webhook that is committed, by this request or by an earlier one with the same idempotency key."""

    webhook: WebhookCreated
    is_replayed: bool


class WebhookService:
    """Registers, mends and deletes one owner's webhooks, and queues their deliveries.

    Methods that take a webhook's id raise `NotFound` if the owner has no such webhook.
    """

    def __init__(
        self, transactions: Transactions, queries: Queries, destinations: Destinations, lookups: Share
    ) -> None:
        """Take what they need, and an owner's share of the addresses that are checked at a time."""
        self._transactions = transactions
        self._queries = queries
        self._destinations = destinations
        self._lookups = lookups

    async def create(
        self, owner_id: UUID, form: WebhookCreate, idempotency_key: str | None = None
    ) -> RegisteredWebhook:
        """Add a webhook, which gets every change from now on.

        If the owner's key was used for one before, return that one, as it is now.

        Raises:
            IdempotencyKeyReused: The key was used within the last 24 hours, for another request.
            InvalidRequest: The address may not be called.
            NotFound: The webhook that the key was used for is deleted.
            TooManyWebhooks, QuotaExceeded: The owner has as many as one user may have: see `Quotas`.
            TooManyRequests, Overloaded: Too many addresses are being checked.
        """
        await self._check(owner_id, form.url)
        return await self._transactions.run_for(
            owner_id, _create, owner_id, form, self._transactions.quotas, idempotency_key
        )

    async def update(self, owner_id: UUID, webhook_id: UUID, form: WebhookUpdate) -> WebhookRead:
        """Change a webhook. One that is enabled again goes on where it stopped, as far as history is kept.

        Raises:
            InvalidRequest: The address may not be called.
            TooManyRequests, Overloaded: Too many addresses are being checked.
        """
        if form.url is not None:
            await self._check(owner_id, form.url)
        return await self._transactions.run_for(owner_id, _update, owner_id, webhook_id, form)

    async def rotate_secret(self, owner_id: UUID, webhook_id: UUID) -> WebhookCreated:
        """Give a webhook a new secret. The current one signs too for 24 hours."""
        return await self._transactions.run_for(owner_id, _rotate_secret, owner_id, webhook_id)

    async def test(self, owner_id: UUID, webhook_id: UUID) -> WebhookDeliveryRead:
        """Queue a test, which is tried once, also if the webhook is disabled or waits for its next attempt."""
        return await self._transactions.run_for(owner_id, _test, owner_id, webhook_id)

    async def replay(self, owner_id: UUID, webhook_id: UUID, after: int) -> WebhookRead:
        """Deliver all changes after that version again, in order; to a disabled webhook when it is enabled.

        Raises:
            HistoryNotKept: They are not all kept, or the timeline has no such version yet.
        """
        return await self._transactions.run_for(owner_id, _replay, owner_id, webhook_id, after, self._queries)

    async def delete(self, owner_id: UUID, webhook_id: UUID) -> None:
        """Remove a webhook and its pending deliveries."""
        await self._transactions.run_for(owner_id, _delete, owner_id, webhook_id)

    async def queue(self, events: Sequence[PostEvent]) -> None:
        """Queue events of one user for their webhooks. Idempotent: what is queued already stays as it is."""
        await self._transactions.run(_queue, events)

    async def _check(self, owner_id: UUID, url: str) -> None:
        with self._lookups.hold(owner_id):
            await self._destinations.check(url)


async def _create(
    unit: UnitOfWork, owner_id: UUID, form: WebhookCreate, quotas: Quotas, idempotency_key: str | None
) -> RegisteredWebhook:
    # Under the owner's lock, so that the count stays true, and no change is committed between version and webhook.
    user = await unit.users.lock(owner_id)
    request = "" if idempotency_key is None else f"POST /webhooks\n{form.model_dump_json()}"
    if idempotency_key is not None:
        earlier = await earlier_use(unit, owner_id, idempotency_key, request)
        if earlier is not None:
            webhook = await unit.get(Webhook, owner_id, UUID(bytes=earlier.answer))
            replayed = RegisteredWebhook(_created(webhook), is_replayed=True)
            await unit.rollback()
            return replayed
    quotas.check_webhooks(user.max_webhooks, await unit.webhooks.count(owner_id))
    version = user.timeline_version
    webhook = Webhook(
        user_id=owner_id,
        url=form.url,
        events=sorted(form.events),
        since_version=version,
        delivered_version=version,
    )
    await unit.add(webhook)
    if idempotency_key is not None:
        # The id alone: the secret is kept with the webhook, and goes with it.
        await unit.idempotency_keys.put(IdempotencyKey.of(owner_id, idempotency_key, request, answer=webhook.id.bytes))
    await unit.commit()
    return RegisteredWebhook(_created(webhook), is_replayed=False)


def _created(webhook: Webhook) -> WebhookCreated:
    return WebhookCreated.model_construct(**webhook.model_dump(include=set(WebhookCreated.model_fields)))


async def _update(unit: UnitOfWork, owner_id: UUID, webhook_id: UUID, form: WebhookUpdate) -> WebhookRead:
    webhook = await unit.webhooks.lock(owner_id, webhook_id)
    if form.url is not None:
        webhook.move(form.url)
    if form.events is not None:
        webhook.events = form.events
    if form.enabled is False and webhook.disabled_at is None:
        webhook.disable("It was disabled by its owner.")
    elif form.enabled is True and webhook.disabled_at is not None:
        webhook.enable()
    return await _send_as_it_is_now(unit, webhook)


async def _rotate_secret(unit: UnitOfWork, owner_id: UUID, webhook_id: UUID) -> WebhookCreated:
    webhook = await unit.webhooks.lock(owner_id, webhook_id)
    webhook.rotate_secret()
    await _send_as_it_is_now(unit, webhook)
    return _created(webhook)


async def _test(unit: UnitOfWork, owner_id: UUID, webhook_id: UUID) -> WebhookDeliveryRead:
    webhook = await unit.webhooks.lock(owner_id, webhook_id)
    test = (await unit.webhooks.test(webhook)).as_read()
    webhook.due_at = now()
    unit.record(DeliveriesQueued())
    await unit.commit()
    return test


async def _replay(unit: UnitOfWork, owner_id: UUID, webhook_id: UUID, after: int, queries: Queries) -> WebhookRead:
    # Under the owner's lock, so that no change is committed meanwhile.
    user = await unit.users.lock(owner_id)
    webhook = await unit.webhooks.lock(owner_id, webhook_id)
    if after != user.timeline_version:
        following = await queries.events_after(owner_id, after, 1)
        if not following or following[0].version != after + 1:
            raise HistoryNotKept(user.timeline_version)
        webhook.replay(after)
    return await _send_as_it_is_now(unit, webhook)


async def _send_as_it_is_now(unit: UnitOfWork, webhook: Webhook) -> WebhookRead:
    """Commit, and take the webhook from the process that sends to it, which knows it as it was before."""
    if webhook.disabled_at is None:
        webhook.due_at = now()
        unit.record(DeliveriesQueued())
    read = WebhookRead.model_construct(**webhook.model_dump(include=set(WebhookRead.model_fields)))
    await unit.commit()
    return read


async def _delete(unit: UnitOfWork, owner_id: UUID, webhook_id: UUID) -> None:
    if not await unit.webhooks.delete(owner_id, webhook_id):
        raise NotFound(f"There is no webhook {webhook_id}.")
    await unit.commit()


async def _queue(unit: UnitOfWork, events: Sequence[PostEvent]) -> None:
    await unit.webhooks.queue(events[0].user_id, events)
    unit.record(DeliveriesQueued())
    await unit.commit()
