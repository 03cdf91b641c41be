"""Webhooks within one transaction."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, delete, func, insert, or_, select, update
from sqlmodel import col
from sqlmodel import select as select_entity
from sqlmodel.ext.asyncio.session import AsyncSession
from typing_extensions import override

from app.errors import NotFound
from app.ports.unit_of_work import Webhooks
from events.types import PostEvent
from models import Erasure, User, Webhook, WebhookDelivery
from models.columns import now
from models.webhook import TEST_VERSION


class WebhookRepository(Webhooks):
    """Webhooks in the database."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    @override
    async def count(self, owner_id: UUID) -> int:
        statement = select(func.count()).where(col(Webhook.user_id) == owner_id)
        return (await (await self._session.connection()).execute(statement)).scalar_one()

    @override
    async def lock(self, owner_id: UUID, webhook_id: UUID) -> Webhook:
        statement = select_entity(Webhook).where(col(Webhook.id) == webhook_id, col(Webhook.user_id) == owner_id)
        webhook = (await self._session.exec(statement.with_for_update())).one_or_none()
        if webhook is None:
            raise NotFound(f"There is no webhook {webhook_id}.")
        return webhook

    @override
    async def delete(self, owner_id: UUID | None, webhook_id: UUID) -> bool:
        connection = await self._session.connection()
        statement = delete(Webhook).where(col(Webhook.id) == webhook_id, col(Webhook.user_id) == owner_id)
        result: CursorResult[Any] = await connection.execute(statement)
        if result.rowcount == 0:
            return False
        await connection.execute(insert(Erasure).values(owner_id=webhook_id))
        return True

    @override
    async def test(self, webhook: Webhook) -> WebhookDelivery:
        await (await self._session.connection()).execute(
            delete(WebhookDelivery).where(
                col(WebhookDelivery.webhook_id) == webhook.id, col(WebhookDelivery.version) == TEST_VERSION
            )
        )
        test = WebhookDelivery.test_of(webhook)
        self._session.add(test)
        return test

    @override
    async def end_leases(self, owner_id: UUID) -> None:
        # The lease is the time in `due_at`. A webhook that is due at another time is not the sender's any more.
        statement = update(Webhook).where(col(Webhook.user_id) == owner_id, col(Webhook.due_at).is_not(None))
        await (await self._session.connection()).execute(statement.values(due_at=now()))

    @override
    async def queue(self, owner_id: UUID, events: Sequence[PostEvent]) -> None:
        # Locked, so that the sender can't find the queue empty, and finish the webhook, while a delivery is being
        # added.
        is_owners = or_(col(Webhook.user_id) == owner_id, col(Webhook.user_id).is_(None))
        statement = (
            select_entity(Webhook).where(is_owners, col(Webhook.disabled_at).is_(None)).order_by(col(Webhook.id))
        )
        for webhook in (await self._session.exec(statement.with_for_update())).all():
            if webhook.user_id is None:
                new = await self._new_to_operator(webhook, owner_id, events)
            elif webhook.replay_after is None:
                new = await self._new_to_owner(webhook, events)
            else:
                new = []
            self._session.add_all(new)
            if new and webhook.due_at is None:
                webhook.due_at = now()

    async def _new_to_owner(self, webhook: Webhook, events: Sequence[PostEvent]) -> list[WebhookDelivery]:
        versions = [event.version for event in events]
        known = select_entity(WebhookDelivery.version).where(
            col(WebhookDelivery.webhook_id) == webhook.id, col(WebhookDelivery.version).in_(versions)
        )
        queued = set((await self._session.exec(known)).all())
        new = [event for event in events if webhook.wants(event) and event.version not in queued]
        return [WebhookDelivery.of(webhook, event) for event in new]

    async def _new_to_operator(
        self, webhook: Webhook, owner_id: UUID, events: Sequence[PostEvent]
    ) -> list[WebhookDelivery]:
        # Locked, so that nothing is queued of a user who is being erased.
        user = select_entity(User.id).where(col(User.id) == owner_id).with_for_update(read=True)
        if (await self._session.exec(user)).first() is None:
            return []
        known = select_entity(WebhookDelivery.timeline_version).where(
            col(WebhookDelivery.webhook_id) == webhook.id,
            col(WebhookDelivery.user_id) == owner_id,
            col(WebhookDelivery.timeline_version).in_([event.version for event in events]),
        )
        queued = set((await self._session.exec(known)).all())
        last = select_entity(func.max(WebhookDelivery.version)).where(col(WebhookDelivery.webhook_id) == webhook.id)
        number = (await self._session.exec(last)).one() or 0
        new = [event for event in events if event.type in webhook.events and event.version not in queued]
        return [WebhookDelivery.of_anybody(webhook, event, number + place) for place, event in enumerate(new, start=1)]
