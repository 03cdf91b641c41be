"""Webhooks within one transaction."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, delete, func, insert, select
from sqlmodel import col
from sqlmodel import select as select_entity
from sqlmodel.ext.asyncio.session import AsyncSession
from typing_extensions import override

from app.ports.unit_of_work import Webhooks
from events.types import PostEvent
from models import Erasure, Webhook, WebhookDelivery
from models.columns import now


class WebhookRepository(Webhooks):
    """Webhooks in the database."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    @override
    async def count(self, owner_id: UUID) -> int:
        statement = select(func.count()).where(col(Webhook.user_id) == owner_id)
        return (await (await self._session.connection()).execute(statement)).scalar_one()

    @override
    async def delete(self, owner_id: UUID, webhook_id: UUID) -> bool:
        connection = await self._session.connection()
        statement = delete(Webhook).where(col(Webhook.id) == webhook_id, col(Webhook.user_id) == owner_id)
        result: CursorResult[Any] = await connection.execute(statement)
        if result.rowcount == 0:
            return False
        await connection.execute(insert(Erasure).values(owner_id=webhook_id))
        return True

    @override
    async def queue(self, owner_id: UUID, events: Sequence[PostEvent]) -> None:
        # Locked, so that the sender can't find the queue empty, and finish the webhook, while a delivery is being
        # added.
        statement = (
            select_entity(Webhook)
            .where(col(Webhook.user_id) == owner_id, col(Webhook.disabled_at).is_(None))
            .order_by(col(Webhook.id))
        )
        for webhook in (await self._session.exec(statement.with_for_update())).all():
            versions = [event.version for event in events]
            known = select_entity(WebhookDelivery.version).where(
                col(WebhookDelivery.webhook_id) == webhook.id, col(WebhookDelivery.version).in_(versions)
            )
            queued = set((await self._session.exec(known)).all())
            new = [event for event in events if webhook.wants(event) and event.version not in queued]
            self._session.add_all(WebhookDelivery.of(webhook, event) for event in new)
            if new and webhook.due_at is None:
                webhook.due_at = now()
