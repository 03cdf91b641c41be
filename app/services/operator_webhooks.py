"""The operator's webhooks, which get everybody's changes."""

from uuid import UUID

from app.errors import NotFound
from app.ports.security import Destinations
from app.ports.unit_of_work import Transactions, UnitOfWork
from models import Webhook, WebhookCreate, WebhookCreated


class OperatorWebhookService:
    """Registers and removes webhooks of the operator."""

    def __init__(self, transactions: Transactions, destinations: Destinations) -> None:
        self._transactions = transactions
        self._destinations = destinations

    async def add(self, form: WebhookCreate) -> WebhookCreated:
        """Add a webhook. It gets every change of every user from now on.

        Raises:
            InvalidRequest: The address may not be called.
        """
        await self._destinations.check(form.url)
        return await self._transactions.run(_add, form)

    async def remove(self, webhook_id: UUID) -> None:
        """Remove a webhook and its pending deliveries.

        Raises:
            NotFound: The operator has no such webhook.
        """
        await self._transactions.run(_remove, webhook_id)


async def _add(unit: UnitOfWork, form: WebhookCreate) -> WebhookCreated:
    webhook = Webhook(url=form.url, events=sorted(form.events))
    await unit.add(webhook)
    await unit.commit()
    return WebhookCreated.model_construct(**webhook.model_dump(include=set(WebhookCreated.model_fields)))


async def _remove(unit: UnitOfWork, webhook_id: UUID) -> None:
    if not await unit.webhooks.delete(None, webhook_id):
        raise NotFound(f"There is no webhook {webhook_id} of the operator's.")
    await unit.commit()
