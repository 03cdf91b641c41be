"""Telling webhooks: again and again where it fails, in order, and nobody at another's expense."""

import asyncio
import errno
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_network
from uuid import UUID

import anyio
import pytest
from sqlalchemy import select, update
from sqlmodel import col

from app.database.engines import Database
from app.delivery.destinations import ForbiddenDestination, PublicDestinations
from app.delivery.host_lookup import HostLookup
from app.delivery.leases import LeaseLost
from app.delivery.webhook_client import WebhookClient
from app.delivery.webhook_queue import WebhookQueue
from app.delivery.webhook_sender import MAX_CONCURRENT_PER_USER, SenderPolicy, WebhookSender, sends
from events.types import DeliveriesQueued, PostEvent
from models import Webhook, WebhookCreate, WebhookDeliveryRead, WebhookRead
from models.columns import now
from tests.factories import PostCreateFactory
from tests.integration.users import add_user
from tests.name_server import NameServer, name_server
from tests.receiver import Receiver, misbehaving, receiving, send_interim_responses_for_ever
from tests.service import service_on

SOON = SenderPolicy(poll=0.05, first_delay=0.02, longest_delay=0.05)
LOOPBACK_NETWORKS = (ip_network("127.0.0.0/8"),)
LOOPBACK = PublicDestinations(LOOPBACK_NETWORKS)


class Node:
    """One process's share of the service, as far as webhooks need it; the bus stands in for the relay."""

    def __init__(self, database: Database) -> None:
        self.database = database
        service = service_on(database, settings={"webhook_allowed_networks": LOOPBACK_NETWORKS})
        self.transactions = service.transactions
        self.queries = service.queries
        self.posts = service.posts
        self.webhooks = service.webhooks
        self.queue = WebhookQueue(database)
        self.sends = sends()
        self.bus = service.bus

        async def relay(event: PostEvent) -> None:
            await self.webhooks.queue([event])

        self.bus.subscribe(PostEvent, relay)

    @asynccontextmanager
    async def sending(self, policy: SenderPolicy = SOON, seconds: float = 60) -> AsyncIterator[None]:
        client = WebhookClient(LOOPBACK, max_connections=20, seconds=seconds)
        sender = WebhookSender(self.queue, client, self.sends, policy)
        self.bus.subscribe(DeliveriesQueued, sender.on_queued)
        running = asyncio.create_task(sender.run())
        yield
        sender.stop()
        await asyncio.wait([running])
        await client.close()

    async def add_user(self, *urls: str) -> tuple[UUID, list[UUID]]:
        user_id = await add_user(self.transactions)
        registered = [(await self.webhooks.create(user_id, WebhookCreate(url=url))).webhook for url in urls]
        return user_id, [webhook.id for webhook in registered]

    async def write(self, user_id: UUID, count: int = 1) -> None:
        for _ in range(count):
            await self.posts.create(user_id, PostCreateFactory.build())

    async def webhook(self, user_id: UUID) -> WebhookRead:
        (webhook,) = await self.queries.webhooks(user_id)
        return webhook

    async def deliveries(self, user_id: UUID, webhook_id: UUID) -> list[WebhookDeliveryRead]:
        return list(reversed(await self.queries.webhook_deliveries(user_id, webhook_id, 100)))

    async def attempted(self, user_id: UUID, webhook_id: UUID) -> list[WebhookDeliveryRead]:
        """Wait for the first attempt."""
        async with asyncio.timeout(30):
            while not (deliveries := await self.deliveries(user_id, webhook_id)) or not deliveries[0].attempts:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return deliveries

    async def seconds_until_due(self, webhook_id: UUID) -> float:
        statement = select(col(Webhook.due_at)).where(col(Webhook.id) == webhook_id)
        row = await self.database.first(statement)
        assert row is not None
        assert row.due_at is not None
        due_at: datetime = row.due_at
        return (due_at - now()).total_seconds()

    async def is_idle(self) -> bool:
        async with self.database.reading() as connection:
            statement = select(col(Webhook.id)).where(col(Webhook.due_at).is_not(None))
            return (await connection.execute(statement)).first() is None

    async def idle(self) -> None:
        async with asyncio.timeout(30):
            while not await self.is_idle():  # noqa: ASYNC110 - what is waited for happens in the database
                await asyncio.sleep(0.02)


@pytest.fixture
def node(database: Database) -> Node:
    return Node(database)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


async def test_what_fails_is_repeated_and_holds_its_place(node: Node, receiver: Receiver) -> None:
    receiver.status = 503
    user_id, (webhook_id,) = await node.add_user(receiver.url)
    async with node.sending():
        await node.write(user_id, 3)
        await asyncio.to_thread(receiver.wait_for, 3)
        assert set(receiver.versions) == {1}
        assert (await node.webhook(user_id)).failing_since is not None
        receiver.status = 202
        await node.idle()

    assert [version for version in receiver.versions if version != 1] == [2, 3]
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 3
    first, *rest = await node.deliveries(user_id, webhook_id)
    assert (first.status, first.attempts) == ("delivered", receiver.versions.count(1))
    assert [(one.status, one.attempts) for one in rest] == [("delivered", 1)] * 2
    assert (await node.webhook(user_id)).failing_since is None


async def test_a_receiver_that_fails_for_too_long_is_disabled_with_a_reason(node: Node, receiver: Receiver) -> None:
    receiver.status = 500
    user_id, (webhook_id,) = await node.add_user(receiver.url)
    async with node.sending(SenderPolicy(poll=0.05, first_delay=0.05, longest_delay=0.05, give_up=0.3)):
        await node.write(user_id, 2)
        await node.idle()
        attempts = len(receiver.received)
        await node.write(user_id)
        await asyncio.sleep(0.2)

    webhook = await node.webhook(user_id)
    assert webhook.disabled_at is not None
    assert (webhook.disabled_reason or "").startswith("Every attempt has failed since 20")
    assert len(receiver.received) == attempts >= 2
    assert [one.status for one in await node.deliveries(user_id, webhook_id)] == ["failed", "failed"]


async def test_a_slow_receiver_delays_no_other(node: Node, receiver: Receiver) -> None:
    with receiving() as slow:
        slow.delay = 60
        user_id, _ = await node.add_user(slow.url, receiver.url)
        async with node.sending():
            await node.write(user_id, 5)
            await asyncio.to_thread(receiver.wait_for, 5)
            assert len(slow.received) == 1
            slow.may_answer.set()

    assert receiver.versions == [1, 2, 3, 4, 5]


async def test_the_slow_receivers_of_one_user_delay_no_other_user(node: Node, receiver: Receiver) -> None:
    with receiving() as slow:
        slow.delay = 60
        busy, _ = await node.add_user(*[slow.url] * 10)
        other, _ = await node.add_user(receiver.url)
        async with node.sending():
            await node.write(busy, 3)
            await asyncio.to_thread(slow.wait_for, MAX_CONCURRENT_PER_USER)
            await node.write(other, 3)
            await asyncio.to_thread(receiver.wait_for, 3)
            assert len(slow.received) == MAX_CONCURRENT_PER_USER
            assert node.sends.held[busy] == MAX_CONCURRENT_PER_USER
            slow.may_answer.set()
            await asyncio.to_thread(slow.wait_for, 30)
            await node.idle()

    assert receiver.versions == [1, 2, 3]
    assert sorted(slow.versions) == sorted([1, 2, 3] * 10)
    assert node.sends.used == 0


async def test_a_free_place_goes_to_users_who_have_none(node: Node) -> None:
    url = "http://127.0.0.1:1/hook"
    users = [(await node.add_user(*[url] * 10))[0] for _ in range(3)]
    for user_id in users:
        await node.write(user_id)
    first, second, third = users

    claimed = await node.queue.claim(5, sending={first: 1}, per_user=4)
    assert [webhook.user_id for webhook in claimed].count(first) == 0
    assert {webhook.user_id for webhook in claimed[:2]} == {second, third}

    counts = Counter({first: 1}) + Counter(webhook.user_id for webhook in claimed)
    claimed += await node.queue.claim(100, sending=counts, per_user=4)
    assert Counter({first: 1}) + Counter(webhook.user_id for webhook in claimed) == dict.fromkeys(users, 4)
    assert await node.queue.claim(100, sending=dict.fromkeys(users, 4), per_user=4) == []


async def test_an_answer_without_end_is_a_failed_attempt(node: Node) -> None:
    with misbehaving(send_interim_responses_for_ever) as receiver:
        user_id, (webhook_id,) = await node.add_user(receiver.url)
        async with node.sending():
            await node.write(user_id)
            (told,) = await node.attempted(user_id, webhook_id)

    assert (told.status, told.response_status) == ("pending", None)
    assert told.response_excerpt == "the answer is too long: more than 16 KiB before its end"


@pytest.mark.parametrize("status", [429, 503])
async def test_a_receiver_may_say_when_it_is_to_be_called_again(node: Node, receiver: Receiver, status: int) -> None:
    receiver.status, receiver.headers = status, {"retry-after": "600"}
    user_id, (webhook_id,) = await node.add_user(receiver.url)
    async with node.sending():
        await node.write(user_id)
        await node.attempted(user_id, webhook_id)

    assert 500 < await node.seconds_until_due(webhook_id) <= 600


async def test_other_answers_do_not_say_when(node: Node, receiver: Receiver) -> None:
    receiver.status, receiver.headers = 500, {"retry-after": "600"}
    user_id, (webhook_id,) = await node.add_user(receiver.url)
    async with node.sending():
        await node.write(user_id)
        await node.attempted(user_id, webhook_id)

    assert await node.seconds_until_due(webhook_id) < 100


async def test_what_this_machine_lacks_does_not_count_as_a_failure_of_the_receiver(
    node: Node, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = asyncio.Event()

    async def fail(*_: object, **__: object) -> None:
        tried.set()
        raise OSError(errno.EMFILE, "too many open files")

    user_id, (webhook_id,) = await node.add_user(receiver.url)
    async with node.sending():
        with monkeypatch.context() as patch:
            patch.setattr(anyio, "connect_tcp", fail)
            await node.write(user_id)
            await tried.wait()
        await asyncio.to_thread(receiver.wait_for, 1)
        await node.idle()

    (told,) = await node.deliveries(user_id, webhook_id)
    assert (told.status, told.attempts) == ("delivered", 1)


async def test_an_answer_that_never_comes_is_not_waited_for(node: Node, receiver: Receiver) -> None:
    receiver.delay = 60
    user_id, (webhook_id,) = await node.add_user(receiver.url)
    async with node.sending(seconds=0.2):
        await node.write(user_id)
        await asyncio.to_thread(receiver.wait_for, 2)

    (told,) = await node.deliveries(user_id, webhook_id)
    assert (told.status, told.response_status, told.response_excerpt) == ("pending", None, "no answer in time")


async def test_a_receiver_that_is_away_is_tried_again(node: Node) -> None:
    with receiving() as receiver:
        url = receiver.url
    user_id, (webhook_id,) = await node.add_user(url)
    async with node.sending():
        await node.write(user_id)
        async with asyncio.timeout(10):
            while (await node.deliveries(user_id, webhook_id))[0].attempts < 2:  # noqa: ASYNC110 - it happens elsewhere
                await asyncio.sleep(0.02)

    (told,) = await node.deliveries(user_id, webhook_id)
    assert (told.status, told.response_excerpt) == ("pending", "no answer: ConnectError")


async def test_several_processes_tell_each_change_once(database: Database, receiver: Receiver) -> None:
    nodes = [Node(database) for _ in range(3)]
    user_id, _ = await nodes[0].add_user(receiver.url)
    async with nodes[0].sending(), nodes[1].sending(), nodes[2].sending():
        await asyncio.gather(*(node.write(user_id, 10) for node in nodes))
        await nodes[0].idle()

    # Three processes may queue what they committed in another order than they committed it; the relay would not.
    assert sorted(receiver.versions) == list(range(1, 31))


async def test_what_a_killed_process_had_claimed_is_told_by_another(node: Node, receiver: Receiver) -> None:
    user_id, _ = await node.add_user(receiver.url)
    await node.write(user_id)
    (claimed,) = await node.queue.claim(10, sending={}, per_user=10)
    assert await node.queue.claim(10, sending={}, per_user=10) == []
    async with node.database.writer.begin() as connection:
        await connection.execute(update(Webhook).values(due_at=now() - timedelta(seconds=1)))

    async with node.sending():
        await asyncio.to_thread(receiver.wait_for, 1)
        await node.idle()

    with pytest.raises(LeaseLost):
        await node.queue.finish(claimed)


async def test_a_webhook_that_is_deleted_while_it_is_told_ends_quietly(node: Node, receiver: Receiver) -> None:
    receiver.delay = 60
    user_id, (webhook_id,) = await node.add_user(receiver.url)
    async with node.sending(replace(SOON, store_every=0)):
        await node.write(user_id, 3)
        await asyncio.to_thread(receiver.wait_for, 1)
        await node.webhooks.delete(user_id, webhook_id)
        receiver.may_answer.set()
        await asyncio.sleep(0.2)

    assert receiver.versions == [1]


async def test_a_sender_that_stops_finishes_the_attempt_and_hands_the_rest_over(node: Node, receiver: Receiver) -> None:
    receiver.delay = 60
    user_id, (webhook_id,) = await node.add_user(receiver.url)
    async with node.sending():
        await node.write(user_id, 3)
        await asyncio.to_thread(receiver.wait_for, 1)
        # After the end of this block, which tells it to stop.
        asyncio.get_running_loop().call_later(0.2, receiver.may_answer.set)

    assert [one.status for one in await node.deliveries(user_id, webhook_id)] == ["delivered", "pending", "pending"]
    (webhook,) = await node.queue.claim(10, sending={}, per_user=10)
    assert webhook.id == webhook_id


async def test_queueing_an_event_again_changes_nothing(node: Node, receiver: Receiver) -> None:
    user_id, (webhook_id,) = await node.add_user(receiver.url)
    async with node.sending():
        await node.write(user_id, 2)
        await node.idle()
        await node.webhooks.queue(await node.queries.events_after(user_id, 0, 10))
        await asyncio.sleep(0.2)

    assert receiver.versions == [1, 2]
    assert len(await node.deliveries(user_id, webhook_id)) == 2


@pytest.fixture
def names() -> Iterator[NameServer]:
    with name_server() as server:
        yield server


def destinations_of(names: NameServer, *allowed: str) -> PublicDestinations:
    return PublicDestinations(map(ip_network, allowed), HostLookup([names.address]))


async def test_a_name_that_changes_its_mind_is_not_connected_to(receiver: Receiver, names: NameServer) -> None:
    names.knows("rebinding.example", ttl=0).versions = [["93.184.215.14"], ["127.0.0.1"]]
    destinations, port = destinations_of(names), receiver.url.split(":")[2].split("/")[0]
    url = f"http://rebinding.example:{port}/hook"
    await destinations.check(url)

    client = WebhookClient(destinations, max_connections=1)
    with pytest.raises(ForbiddenDestination):
        await client.post(url, {"host": "rebinding.example", "content-length": "2"}, b"{}")
    await client.close()

    assert receiver.received == []


async def test_one_private_address_among_public_ones_is_enough_to_refuse(names: NameServer) -> None:
    names.knows("mixed.example", "93.184.215.14", "10.0.0.1")

    with pytest.raises(ForbiddenDestination):
        await destinations_of(names).resolve("mixed.example")
    assert set(await destinations_of(names, "10.0.0.0/8").resolve("mixed.example")) == {"93.184.215.14", "10.0.0.1"}
