"""Telling webhooks: again and again where it fails, in order, and nobody at another's expense."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from app.database.engines import Database
from app.delivery.destinations import ForbiddenDestination, PublicDestinations
from app.delivery.webhook_client import WebhookClient
from app.delivery.webhook_queue import LeaseLost, WebhookQueue
from app.delivery.webhook_sender import SenderPolicy, WebhookSender
from events.types import DeliveriesQueued, PostEvent
from models import Webhook, WebhookCreate, WebhookDeliveryRead, WebhookRead
from models.columns import now
from tests.factories import PostCreateFactory
from tests.integration.users import add_user
from tests.receiver import Receiver, receiving
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
        self.bus = service.bus

        async def relay(event: PostEvent) -> None:
            await self.webhooks.queue([event])

        self.bus.subscribe(PostEvent, relay)

    @asynccontextmanager
    async def sending(self, policy: SenderPolicy = SOON, seconds: float = 60) -> AsyncIterator[None]:
        client = WebhookClient(LOOPBACK, max_connections=20, seconds=seconds)
        sender = WebhookSender(self.queue, client, policy)
        self.bus.subscribe(DeliveriesQueued, sender.on_queued)
        running = asyncio.create_task(sender.run())
        yield
        sender.stop()
        await asyncio.wait([running])
        await client.close()

    async def add_user(self, *urls: str) -> tuple[UUID, list[UUID]]:
        user_id = await add_user(self.transactions)
        registered = [await self.webhooks.create(user_id, WebhookCreate(url=url)) for url in urls]
        return user_id, [webhook.id for webhook in registered]

    async def write(self, user_id: UUID, count: int = 1) -> None:
        for _ in range(count):
            await self.posts.create(user_id, PostCreateFactory.build())

    async def webhook(self, user_id: UUID) -> WebhookRead:
        (webhook,) = await self.queries.webhooks(user_id)
        return webhook

    async def deliveries(self, user_id: UUID, webhook_id: UUID) -> list[WebhookDeliveryRead]:
        return list(reversed(await self.queries.webhook_deliveries(user_id, webhook_id, 100)))

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
    (claimed,) = await node.queue.claim(10)
    assert await node.queue.claim(10) == []
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
    async with node.sending():
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
    (webhook,) = await node.queue.claim(10)
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


class Rebinding:
    """A name server that answers with a public address first, and with one of this machine afterwards."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)

    def __call__(self, _host: str, port: int, **_: Any) -> list[Any]:
        address = self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]
        return [(0, 0, 0, "", (address, port))]


async def test_a_name_that_changes_its_mind_is_not_connected_to(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Rebinding("93.184.215.14", "127.0.0.1"))
    destinations, port = PublicDestinations(), receiver.url.split(":")[2].split("/")[0]
    url = f"http://rebinding.example:{port}/hook"
    await destinations.check(url)

    client = WebhookClient(destinations, max_connections=1)
    with pytest.raises(ForbiddenDestination):
        await client.post(url, {"host": "rebinding.example", "content-length": "2"}, b"{}")
    await client.close()

    assert receiver.received == []


async def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(_host: str, port: int, **_: Any) -> list[Any]:
        return [(0, 0, 0, "", (address, port)) for address in ("93.184.215.14", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    with pytest.raises(ForbiddenDestination):
        await PublicDestinations().resolve("mixed.example", 443)
    assert await PublicDestinations([ip_network("10.0.0.0/8")]).resolve("mixed.example", 443) == [
        "93.184.215.14",
        "10.0.0.1",
    ]


async def test_names_that_no_server_answers_for_keep_no_other_name_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()

    def hang(*_: Any, **__: Any) -> list[Any]:
        is_over.wait(60)
        raise socket.gaierror

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", hang)
        destinations = PublicDestinations()
        waiting = [asyncio.create_task(destinations.resolve("dead.example", 443)) for _ in range(50)]
        await asyncio.sleep(0.1)
    try:
        async with asyncio.timeout(10):
            assert await asyncio.get_running_loop().getaddrinfo("localhost", 443)
    finally:
        is_over.set()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(answer, ForbiddenDestination) for answer in answers)
