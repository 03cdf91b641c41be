"""Registering and deleting webhooks, and queueing their deliveries."""

import asyncio
from datetime import timedelta

import pytest

from app.errors import HistoryNotKept, InvalidRequest, NotFound, TooManyRequests, TooManyWebhooks
from app.ports.security import Principal
from app.quotas import DEFAULT_WEBHOOKS
from events.types import PostEvent
from models import PostCreate, Webhook, WebhookCreate, WebhookDelivery, WebhookUpdate
from models.columns import now
from tests.unit.services.conftest import FORBIDDEN_URL, World

FORM = WebhookCreate(url="https://example.com/hook")


async def test_a_webhook_gets_changes_from_its_registration_on(world: World, ada: Principal) -> None:
    await world.posts.create(ada.user_id, PostCreate(text="before"))
    webhook = (await world.webhooks.create(ada.user_id, FORM)).webhook
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


async def test_only_so_many_addresses_are_checked_for_one_user_at_a_time(
    world: World, ada: Principal, bob: Principal
) -> None:
    world.destinations.may_be_found.clear()
    waiting = [asyncio.create_task(world.webhooks.create(ada.user_id, FORM)) for _ in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(TooManyRequests):
        await world.webhooks.create(ada.user_id, FORM)
    waiting.append(asyncio.create_task(world.webhooks.create(bob.user_id, FORM)))
    await asyncio.sleep(0)
    world.destinations.may_be_found.set()

    assert len(await asyncio.gather(*waiting)) == 3
    assert world.address_checks.used == 0


async def test_a_user_has_a_limited_number_of_webhooks(world: World, ada: Principal, bob: Principal) -> None:
    webhooks = [(await world.webhooks.create(ada.user_id, FORM)).webhook for _ in range(DEFAULT_WEBHOOKS)]

    with pytest.raises(TooManyWebhooks):
        await world.webhooks.create(ada.user_id, FORM)
    await world.webhooks.create(bob.user_id, FORM)
    await world.webhooks.delete(ada.user_id, webhooks[0].id)
    await world.webhooks.create(ada.user_id, FORM)


async def test_a_webhook_of_someone_else_is_missing(world: World, ada: Principal, bob: Principal) -> None:
    webhook = (await world.webhooks.create(ada.user_id, FORM)).webhook

    for attempt in (
        world.webhooks.delete(bob.user_id, webhook.id),
        world.webhooks.update(bob.user_id, webhook.id, WebhookUpdate(enabled=False)),
        world.webhooks.rotate_secret(bob.user_id, webhook.id),
        world.webhooks.test(bob.user_id, webhook.id),
        world.webhooks.replay(bob.user_id, webhook.id, 0),
    ):
        with pytest.raises(NotFound):
            await attempt


async def test_a_webhook_is_not_moved_to_an_address_that_may_not_be_called(world: World, ada: Principal) -> None:
    webhook = (await world.webhooks.create(ada.user_id, FORM)).webhook

    with pytest.raises(InvalidRequest):
        await world.webhooks.update(ada.user_id, webhook.id, WebhookUpdate(url=FORBIDDEN_URL))

    (stored,) = world.database.all(Webhook)
    assert stored.url == FORM.url


async def test_a_secret_is_replaced_while_the_one_before_still_signs(world: World, ada: Principal) -> None:
    webhook = (await world.webhooks.create(ada.user_id, FORM)).webhook

    rotated = [await world.webhooks.rotate_secret(ada.user_id, webhook.id) for _ in range(2)]

    (stored,) = world.database.all(Webhook)
    first, second = rotated
    assert len({webhook.secret, first.secret, second.secret}) == 3
    assert stored.secrets(now()) == [second.secret, first.secret]
    assert stored.secrets(now() + timedelta(hours=23, minutes=59)) == [second.secret, first.secret]
    assert stored.secrets(now() + timedelta(hours=24)) == [second.secret]


async def test_a_webhook_that_is_enabled_is_sent_what_followed_the_last_delivery(world: World, ada: Principal) -> None:
    webhook = (await world.webhooks.create(ada.user_id, FORM)).webhook
    await world.posts.create(ada.user_id, PostCreate(text="hello"))

    disabled = await world.webhooks.update(ada.user_id, webhook.id, WebhookUpdate(enabled=False))
    enabled = await world.webhooks.update(ada.user_id, webhook.id, WebhookUpdate(enabled=True))

    assert disabled.disabled_reason == "It was disabled by its owner."
    assert (enabled.disabled_at, enabled.disabled_reason) == (None, None)
    (stored,) = world.database.all(Webhook)
    assert stored.replay_after == 0
    assert stored.due_at is not None


async def test_only_a_version_of_the_timeline_can_be_replayed_from(world: World, ada: Principal) -> None:
    webhook = (await world.webhooks.create(ada.user_id, FORM)).webhook
    await world.posts.create(ada.user_id, PostCreate(text="hello"))

    with pytest.raises(HistoryNotKept):
        await world.webhooks.replay(ada.user_id, webhook.id, 2)
    world.database.events[ada.user_id].clear()
    with pytest.raises(HistoryNotKept):
        await world.webhooks.replay(ada.user_id, webhook.id, 0)
    await world.webhooks.replay(ada.user_id, webhook.id, 1)
