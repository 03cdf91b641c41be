"""What nodes share through Redis: rate-limit counts and wake-ups. Nothing that must be true depends on it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from app.auth.rate_limits import RateLimit
from app.auth.shared_counts import SharedCounts
from app.database.engines import Database
from app.database.redis_connection import RedisConnection
from app.delivery.redis_wakeups import RedisWakeups
from app.errors import TooManyRequests
from events.types import PostEvent, SessionsChanged
from tests.factories import PostCreateFactory
from tests.integration.users import add_user_with_session
from tests.redis_server import RedisServer, redis_server
from tests.service import service_on

pytestmark = pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)


class Node:
    """One process of the service, with a Redis or without."""

    def __init__(self, database: Database, url: str | None) -> None:
        self.database = database
        self.service = service_on(database)
        self.timelines = self.service.timelines
        self.wakeups = self.service.wakeups
        self.running: list[asyncio.Task[None]] = []
        if url is not None:
            self.redis = RedisConnection(url, database.url)
            self.redis_wakeups = RedisWakeups(self.redis, self.wakeups, retry_seconds=0.1)
            self.service.bus.subscribe(PostEvent, self.redis_wakeups.on_change)
            self.service.bus.subscribe(SessionsChanged, self.redis_wakeups.on_change)
            self.running = [asyncio.create_task(each.run()) for each in (self.redis, self.redis_wakeups)]

    async def stop(self) -> None:
        if self.running:
            self.redis.stop()
            self.redis_wakeups.stop()
            await asyncio.wait(self.running)
            await self.redis.close()
        await self.database.close()

    async def becomes(self, *, up: bool) -> None:
        async with asyncio.timeout(30):
            while self.redis.is_up is not up:  # noqa: ASYNC110 - what is waited for happens elsewhere
                await asyncio.sleep(0.02)

    async def add_user(self) -> tuple[UUID, UUID]:
        return await add_user_with_session(self.service.transactions)

    async def write(self, user_id: UUID) -> None:
        await self.service.posts.create(user_id, PostCreateFactory.build())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
async def nodes(database: Database, server: RedisServer) -> AsyncIterator[list[Node]]:
    nodes = [Node(Database(database.url, pool_size=5), server.url) for _ in range(2)]
    for node in nodes:
        await node.becomes(up=True)
    yield nodes
    for node in nodes:
        await node.stop()


async def test_a_node_with_redis_and_one_without_never_show_each_other_anything_stale(
    nodes: list[Node], database: Database
) -> None:
    with_redis, without = nodes[0], Node(Database(database.url, pool_size=5), None)
    user_id, session_id = await with_redis.add_user()

    for version in range(1, 21):
        await (with_redis if version % 2 else without).write(user_id)
        for node in (with_redis, without):
            assert await node.timelines.version(user_id, session_id) == version
    await without.service.sessions.end(user_id, session_id)

    assert await with_redis.timelines.version(user_id, session_id) is None
    await without.stop()


@pytest.mark.parametrize("fault", ["pause", "kill"])
async def test_no_write_and_no_look_up_waits_for_redis(nodes: list[Node], server: RedisServer, fault: str) -> None:
    here, there = nodes
    user_id, session_id = await here.add_user()
    server.pause() if fault == "pause" else server.kill()

    # Far more than the writes need, and far less than as many timeouts of Redis.
    async with asyncio.timeout(10):
        for version in range(1, 31):
            await here.write(user_id)
            assert await there.timelines.version(user_id, session_id) == version

    if fault == "pause":
        server.resume()


async def test_limits_are_counted_together_and_by_each_alone_without_redis(
    nodes: list[Node], server: RedisServer
) -> None:
    limits = [RateLimit("login", "3/minute", SharedCounts(node.redis)) for node in nodes]
    await limits[0].hit("ada")
    await limits[1].hit("ada")
    await limits[0].hit("ada")
    with pytest.raises(TooManyRequests):
        await limits[1].hit("ada")

    server.pause()
    # It would not answer at all.
    async with asyncio.timeout(10):
        for _ in range(3):
            await limits[1].hit("ada")
    with pytest.raises(TooManyRequests):
        await limits[1].hit("ada")
    server.resume()
    await nodes[1].becomes(up=True)


async def test_a_redis_that_takes_no_writes_is_not_used(nodes: list[Node], server: RedisServer) -> None:
    assert server.ask("CONFIG SET min-replicas-to-write 1") == b"+OK"
    await nodes[0].becomes(up=False)
    assert server.ask("PING") == b"+PONG"

    assert server.ask("CONFIG SET min-replicas-to-write 0") == b"+OK"
    await nodes[0].becomes(up=True)


async def test_wake_ups_cross_nodes_and_come_back_with_redis(nodes: list[Node], server: RedisServer) -> None:
    here, there = nodes
    user_id, _ = await here.add_user()

    async def is_woken(seconds: float) -> bool:
        with there.wakeups.of(user_id) as woken:
            await here.write(user_id)
            try:
                await asyncio.wait_for(woken.wait(), seconds)
            except TimeoutError:
                return False
            return True

    async with asyncio.timeout(30):
        while not await is_woken(1):
            pass
    server.kill()
    assert not await is_woken(0.2)
    server.start()
    async with asyncio.timeout(30):
        while not await is_woken(1):
            pass


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1/0", "redis://", "rediss://:secret@redis.example:6380/1", "unix:///run/redis.sock"]
)
async def test_every_address_that_the_settings_take_can_be_used(database: Database, url: str) -> None:
    service = service_on(database, settings={"redis_url": url})

    assert service.readiness.is_degraded
