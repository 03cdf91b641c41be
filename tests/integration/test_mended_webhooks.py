"""Mending webhooks: they go on where they stopped, in order, and nothing is lost."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import delete, event, func, select, update
from sqlmodel import col
from standardwebhooks import Webhook as Verifier

from app.database.engines import Database
from app.errors import HistoryNotKept
from app.services.operator_webhooks import OperatorWebhookService
from app.storage.policy import RetentionPolicy
from app.storage.pruning import Pruner
from models import StoredEvent, Webhook, WebhookCreate, WebhookDelivery, WebhookUpdate
from models.columns import now
from tests.factories import PostCreateFactory
from tests.integration.lock_waits import until_someone_waits_for_a_lock
from tests.integration.test_webhook_sender import LOOPBACK, SOON, Node
from tests.receiver import Receiver, receiving
from tests.service import service_on

NOWHERE = "http://127.0.0.1:1/hook"


@pytest.fixture
def node(database: Database) -> Node:
    return Node(database)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


async def enable(node: Node, user_id: UUID, webhook_id: UUID, *, enabled: bool = True) -> None:
    await node.webhooks.update(user_id, webhook_id, WebhookUpdate(enabled=enabled))


async def forget_events(node: Node, up_to: int) -> None:
    async with node.database.writer.begin() as connection:
        await connection.execute(delete(StoredEvent).where(col(StoredEvent.version) <= up_to))


async def stored(node: Node, webhook_id: UUID) -> Webhook:
    async with node.database.writing() as session:
        webhook = await session.get(Webhook, webhook_id)
        assert webhook is not None
        return webhook


async def test_a_webhook_that_was_disabled_goes_on_where_it_stopped(node: Node, receiver: Receiver) -> None:
    user_id, (webhook_id,) = await node.add_user(receiver.url)
    async with node.sending():
        await node.write(user_id, 2)
        await node.idle()
        receiver.status = 410
        await node.write(user_id, 2)
        await node.idle()
        assert (await node.webhook(user_id)).disabled_at is not None
        await node.write(user_id, 2)
        receiver.status = 200
        attempted = len(receiver.received)
        await enable(node, user_id, webhook_id)
        await node.write(user_id, 1)
        await node.idle()

    assert receiver.versions[attempted:] == [3, 4, 5, 6, 7]
    assert [one.status for one in await node.deliveries(user_id, webhook_id)] == ["delivered"] * 7
    webhook = await node.webhook(user_id)
    assert (webhook.disabled_at, webhook.disabled_reason, webhook.failing_since) == (None, None, None)
    assert (await stored(node, webhook_id)).replay_after is None


async def test_a_webhook_that_its_owner_disabled_is_sent_nothing_until_it_is_enabled(
    node: Node, receiver: Receiver
) -> None:
    user_id, (webhook_id,) = await node.add_user(receiver.url)
    await node.write(user_id, 2)
    await enable(node, user_id, webhook_id, enabled=False)
    async with node.sending():
        await node.write(user_id, 2)
        other, _ = await node.add_user(receiver.url)
        await node.write(other, 1)
        await node.idle()
        assert receiver.versions == [1]
        await enable(node, user_id, webhook_id)
        await node.idle()

    assert receiver.versions == [1, 1, 2, 3, 4]


async def test_a_long_history_is_queued_a_part_at_a_time_and_changes_meanwhile_follow_it(
    node: Node, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.delivery.webhook_queue._MAX_EVENTS_PER_READ", 4)
    user_id, _ = await node.add_user(NOWHERE)
    await node.write(user_id, 10)
    webhook = (await node.webhooks.create(user_id, WebhookCreate(url=receiver.url))).webhook
    await node.write(user_id, 1)
    await node.webhooks.replay(user_id, webhook.id, 0)
    await node.write(user_id, 1)
    async with node.sending():
        await asyncio.to_thread(receiver.wait_for, 12)

    assert receiver.versions == list(range(1, 13))


async def test_what_was_delivered_is_delivered_again_with_the_same_ids(node: Node, receiver: Receiver) -> None:
    user_id, (webhook_id,) = await node.add_user(receiver.url)
    async with node.sending():
        await node.write(user_id, 5)
        await node.idle()
        await node.webhooks.replay(user_id, webhook_id, 2)
        await node.idle()

    assert receiver.versions == [1, 2, 3, 4, 5, 3, 4, 5]
    ids = [request.headers["webhook-id"] for request in receiver.received]
    assert ids[5:] == ids[2:5]
    assert [one.attempts for one in await node.deliveries(user_id, webhook_id)] == [1, 1, 2, 2, 2]


async def test_what_waits_is_not_queued_a_second_time(node: Node, receiver: Receiver) -> None:
    user_id, (webhook_id,) = await node.add_user(receiver.url)
    await node.write(user_id, 3)
    await node.webhooks.replay(user_id, webhook_id, 0)
    await node.webhooks.replay(user_id, webhook_id, 1)
    async with node.sending():
        await node.idle()

    assert receiver.versions == [1, 2, 3]


async def test_what_the_relay_has_not_queued_yet_is_not_skipped_by_a_replay(node: Node, receiver: Receiver) -> None:
    user_id, (webhook_id,) = await node.add_user(receiver.url)
    without_relay = service_on(node.database)
    for _ in range(3):
        await without_relay.posts.create(user_id, PostCreateFactory.build())
    await node.webhooks.replay(user_id, webhook_id, 2)
    await node.webhooks.queue(await node.queries.events_after(user_id, 0, 10))
    async with node.sending():
        await node.idle()

    assert receiver.versions == [1, 2, 3]


async def test_history_that_is_not_kept_is_refused_or_left_out(node: Node, receiver: Receiver) -> None:
    user_id, (webhook_id,) = await node.add_user(receiver.url)
    await enable(node, user_id, webhook_id, enabled=False)
    await node.write(user_id, 5)
    await forget_events(node, up_to=2)

    for after in (1, 6):
        with pytest.raises(HistoryNotKept) as refused:
            await node.webhooks.replay(user_id, webhook_id, after)
        assert refused.value.version == 5
    await node.webhooks.replay(user_id, webhook_id, 5)
    await enable(node, user_id, webhook_id)
    async with node.sending():
        await node.idle()

    assert receiver.versions == [3, 4, 5]


async def test_a_replay_that_is_cut_short_is_taken_up_again(node: Node, receiver: Receiver) -> None:
    user_id, (webhook_id,) = await node.add_user(receiver.url)
    async with node.sending():
        await node.write(user_id, 3)
        await node.idle()
        receiver.status = 410
        await node.webhooks.replay(user_id, webhook_id, 0)
        await node.idle()
        receiver.status = 200
        attempted = len(receiver.received)
        await enable(node, user_id, webhook_id)
        await node.idle()

    assert receiver.versions[attempted:] == [1, 2, 3]


async def test_what_failed_is_sent_to_the_new_address_at_once(node: Node, receiver: Receiver) -> None:
    user_id, (webhook_id,) = await node.add_user(NOWHERE)
    async with node.sending(replace(SOON, first_delay=3600, longest_delay=3600)):
        await node.write(user_id, 2)
        await node.attempted(user_id, webhook_id)
        await node.webhooks.update(user_id, webhook_id, WebhookUpdate(url=receiver.url))
        await node.idle()

    assert receiver.versions == [1, 2]


async def test_both_secrets_sign_for_a_day_and_then_the_old_one_is_forgotten(node: Node, receiver: Receiver) -> None:
    user_id = (await node.add_user())[0]
    old = (await node.webhooks.create(user_id, WebhookCreate(url=receiver.url))).webhook
    new = await node.webhooks.rotate_secret(user_id, old.id)
    pruner = Pruner(node.database, retention=RetentionPolicy(), interval=timedelta(minutes=5))
    async with node.sending():
        await node.write(user_id, 1)
        await node.idle()
        await pruner.prune()
        assert (await stored(node, old.id)).previous_secret == old.secret
        async with node.database.writer.begin() as connection:
            await connection.execute(update(Webhook).values(previous_secret_until=now() - timedelta(seconds=1)))
        await node.write(user_id, 1)
        await node.idle()
    await pruner.prune()

    first, second = receiver.received
    for secret in (old.secret, new.secret):
        Verifier(secret).verify(first.body, first.headers)
    Verifier(new.secret).verify(second.body, second.headers)
    assert second.headers["webhook-signature"].count("v1,") == 1
    webhook = await stored(node, old.id)
    assert (webhook.secret, webhook.previous_secret) == (new.secret, None)


async def test_a_test_that_fails_is_tried_once_and_disables_nothing(node: Node, receiver: Receiver) -> None:
    receiver.status = 410
    user_id, (webhook_id,) = await node.add_user(receiver.url)
    test = await node.webhooks.test(user_id, webhook_id)
    async with node.sending():
        await node.idle()

    (told,) = await node.deliveries(user_id, webhook_id)
    assert (told.type, told.version, told.postID) == ("webhook.test", 0, test.postID)
    assert (told.status, told.attempts, told.response_status) == ("failed", 1, 410)
    assert (await node.webhook(user_id)).disabled_at is None
    assert len(receiver.received) == 1


async def test_a_disabled_webhook_can_be_tested_and_is_sent_nothing_else(node: Node, receiver: Receiver) -> None:
    user_id, (webhook_id,) = await node.add_user(receiver.url)
    await node.write(user_id, 2)
    await enable(node, user_id, webhook_id, enabled=False)
    await node.webhooks.test(user_id, webhook_id)
    async with node.sending():
        await node.idle()

    (request,) = receiver.received
    assert b'"type":"webhook.test"' in request.body
    test, *waiting = await node.queries.webhook_deliveries(user_id, webhook_id, 100)
    assert (test.type, test.status) == ("webhook.test", "delivered")
    assert [one.status for one in waiting] == ["pending", "pending"]


async def test_a_test_that_succeeds_has_what_waits_sent_at_once(node: Node, receiver: Receiver) -> None:
    receiver.status = 503
    user_id, (webhook_id,) = await node.add_user(receiver.url)
    async with node.sending(replace(SOON, first_delay=3600, longest_delay=3600)):
        await node.write(user_id, 1)
        await node.attempted(user_id, webhook_id)
        receiver.status = 200
        await node.webhooks.test(user_id, webhook_id)
        await node.idle()

    assert [b"webhook.test" in request.body for request in receiver.received] == [False, True, False]


async def test_a_test_is_listed_although_a_hundred_changes_are(node: Node) -> None:
    user_id, (webhook_id,) = await node.add_user(NOWHERE)
    await node.write(user_id, 3)
    await node.webhooks.test(user_id, webhook_id)

    for limit, versions in ((2, [0, 3]), (3, [0, 3, 2]), (4, [0, 3, 2, 1])):
        listed = await node.queries.webhook_deliveries(user_id, webhook_id, limit)
        assert [one.version for one in listed] == versions


async def test_what_a_killed_process_had_delivered_but_not_stored_is_delivered_again_in_order(
    node: Node, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id, (webhook_id,) = await node.add_user(receiver.url)
    await node.write(user_id, 20)
    killed = asyncio.Event()

    async def die(*_: object) -> None:
        killed.set()
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(node.queue, "delivered", die)
        async with node.sending(replace(SOON, max_unstored=7, store_every=3600)):
            await killed.wait()
    assert receiver.versions == list(range(1, 8))
    async with node.database.writer.begin() as connection:
        await connection.execute(update(Webhook).values(due_at=now() - timedelta(seconds=1)))
    async with node.sending():
        await node.idle()

    assert receiver.versions == [*range(1, 8), *range(1, 21)]
    assert {one.status for one in await node.deliveries(user_id, webhook_id)} == {"delivered"}


async def test_a_thousand_deliveries_take_few_statements(node: Node, receiver: Receiver) -> None:
    user_id, _ = await node.add_user(receiver.url)
    await node.write(user_id, 1)
    async with node.database.writing() as session:
        (first,) = (await session.exec(select(WebhookDelivery))).scalars().all()  # type: ignore[call-overload]
        for version in range(2, 1001):
            session.add(WebhookDelivery(**first.model_dump() | {"version": version}))
        await session.commit()
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "webhook" in statement and "due_at IS NOT NULL" not in statement:
            statements.append(statement)

    for engine in node.database.engines.values():
        event.listen(engine.sync_engine, "before_cursor_execute", note)
    async with node.sending(replace(SOON, poll=60, store_every=3600, turn=3600)):
        await asyncio.to_thread(receiver.wait_for, 1000, seconds=120)
        await node.idle()

    assert receiver.versions == list(range(1, 1001))
    # For each hundred: one that reads, and for each fifty two that store.
    assert len(statements) < 80


async def test_receivers_that_have_not_answered_quickly_leave_room_for_those_that_have(node: Node) -> None:
    users = [(await node.add_user(NOWHERE))[0] for _ in range(4)]
    for user_id in users:
        await node.write(user_id)
    async with node.database.writer.begin() as connection:
        await connection.execute(update(Webhook).where(col(Webhook.user_id) == users[3]).values(answers_quickly=True))

    claimed = await node.queue.claim(10, sending={}, per_user=4, unproven=2)
    assert [webhook.user_id for webhook in claimed] == [users[0], users[1], users[3]]
    assert await node.queue.claim(10, sending={}, per_user=4, unproven=0) == []
    assert len(await node.queue.claim(10, sending={}, per_user=4, unproven=5)) == 1


@pytest.mark.parametrize(("quick", "expected"), [(60.0, True), (0.0, False)])
async def test_how_quickly_a_receiver_answered_is_remembered(
    node: Node, receiver: Receiver, quick: float, expected: bool
) -> None:
    user_id, (webhook_id,) = await node.add_user(receiver.url)
    async with node.sending(replace(SOON, quick=quick)):
        await node.write(user_id)
        await node.idle()

    assert (await stored(node, webhook_id)).answers_quickly is expected


async def test_the_operators_webhook_gets_everybodys_changes_in_order(node: Node, receiver: Receiver) -> None:
    operators = OperatorWebhookService(node.transactions, LOOPBACK)
    webhook = await operators.add(WebhookCreate(url=receiver.url))
    users = [(await node.add_user())[0] for _ in range(2)]
    async with node.sending():
        for user_id in (users[0], users[1], users[0]):
            await node.write(user_id)
        # The relay may hand an event over twice.
        await node.webhooks.queue(await node.queries.events_after(users[0], 0, 10))
        await node.idle()

    told = [Verifier(webhook.secret).verify(one.body, one.headers)["data"] for one in receiver.received]
    assert [(one["user_id"], one["version"]) for one in told] == [
        (str(users[0]), 1),
        (str(users[1]), 1),
        (str(users[0]), 2),
    ]
    assert await node.queries.webhook_owners(users) == users
    assert await node.queries.webhooks(users[0]) == []
    (status,) = await node.queue.operator_webhooks()
    assert (status.id, status.waiting) == (webhook.id, 0)
    await operators.remove(webhook.id)
    assert await node.queue.operator_webhooks() == []


async def test_nothing_of_an_erased_user_waits_for_the_operators_webhook(node: Node) -> None:
    await OperatorWebhookService(node.transactions, LOOPBACK).add(WebhookCreate(url=NOWHERE))
    user_id, other = [(await node.add_user())[0] for _ in range(2)]
    await node.write(user_id, 2)
    await node.write(other)
    events = await node.queries.events_after(user_id, 0, 10)
    async with node.transactions.begin() as unit:
        await unit.users.delete(await unit.users.lock(user_id))
        await unit.commit()
    await node.webhooks.queue(events)

    rows = await node.database.rows(select(col(WebhookDelivery.user_id), func.count()).group_by("user_id"))
    assert [tuple(row) for row in rows] == [(other, 1)]


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
async def test_a_webhook_can_be_made_due_while_it_is_being_claimed(node: Node) -> None:
    user_id, (webhook_id,) = await node.add_user(NOWHERE)
    await node.write(user_id)

    async with node.transactions.begin() as unit:
        webhook = await unit.webhooks.lock(user_id, webhook_id)
        claiming = asyncio.create_task(node.queue.claim(10, sending={}, per_user=10))
        await until_someone_waits_for_a_lock(node.database)
        webhook.due_at = now()
        await unit.commit()

    assert await claiming == []
    assert [claimed.id for claimed in await node.queue.claim(10, sending={}, per_user=10)] == [webhook_id]
