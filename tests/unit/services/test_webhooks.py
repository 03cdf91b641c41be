"""Registering and deleting webhooks, and queueing their deliveries."""

import pytest

from app.errors import InvalidRequest, NotFound, TooManyWebhooks
from app.ports.security import Principal
from app.services.webhooks import MAX_WEBHOOKS
from events.types import PostEvent
from models import PostCreate, WebhookCreate, WebhookDelivery
from tests.unit.services.conftest import FORBIDDEN_URL, World

FORM = WebhookCreate(url="https://example.com/hook")


async def test_a_webhook_gets_changes_from_its_registration_on(world: World, ada: Principal) -> None:
    await world.posts.create(ada.user_id, PostCreate(text="before"))
    webhook = await world.webhooks.create(ada.user_id, FORM)
    await world.posts.create(ada.user_id, PostCreate(text="after"))
    events = [event for event in world.published if isinstance(event, PostEvent)]

    for _ in range(2):
        await world.webhooks.queue(events)

    deliveries = world.database.all(WebhookDelivery)
    assert [(delivery.webhook_id, delivery.version) for delivery in deliveries] == [(webhook.id, 2)]
    assert webhook.secret.startswith("whsec_")


async def test_an_address_that_may_not_be_called_is_refused(world: World, ada: Principal) -> None:
    with pytest.raises(InvalidRequest):
        await world.webhooks.create(ada.user_id, WebhookCreate(url=FORBIDDEN_URL))


async def test_a_user_has_a_limited_number_of_webhooks(world: World, ada: Principal, bob: Principal) -> None:
    webhooks = [await world.webhooks.create(ada.user_id, FORM) for _ in range(MAX_WEBHOOKS)]

    with pytest.raises(TooManyWebhooks):
        await world.webhooks.create(ada.user_id, FORM)
    await world.webhooks.create(bob.user_id, FORM)
    await world.webhooks.delete(ada.user_id, webhooks[0].id)
    await world.webhooks.create(ada.user_id, FORM)


async def test_a_webhook_of_someone_else_is_missing(world: World, ada: Principal, bob: Principal) -> None:
    webhook = await world.webhooks.create(ada.user_id, FORM)

    with pytest.raises(NotFound):
        await world.webhooks.delete(bob.user_id, webhook.id)
