"""Redis as the one who knows the versions: never behind, whatever becomes of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import URL, func, text, update
from sqlmodel import col

from app.database import Database
from app.delivery.wakeups import Wakeups
from app.errors import TooManyRequests
from app.limits import Limit
from app.reads import DatabaseReads
from app.redis.epochs import Epoch
from app.redis.shared import Shared, share
from app.redis.timelines import RedisTimelines
from app.services.posts import PostService
from app.timeline import DatabaseTimelines
from app.timeline_reads import TimelineReads
from app.unit_of_work import SqlUnits
from events.bus import EventBus
from events.types import PostEvent, SessionsChanged
from models import SharedEpoch
from tests.factories import PostCreateFactory, SessionFactory, UserFactory
from tests.redis_server import RedisServer, redis_server
from tests.services import fresh_mariadb_database

pytestmark = pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)


class Node:
    """One process's share of the service; `rows_read` counts what Redis could not answer."""

    def __init__(self, database: Database, url: str) -> None:
        self.database = database
        self.timeline_reads = TimelineReads(database)
        self.wakeups = Wakeups()
        self.shared: Shared = share(url, database, self.wakeups)
        self.trust = self.shared.trust
        self.trust._hold = 0.5
        self.rows_read = 0

        async def read(user_id: UUID, session_id: UUID) -> int | None:
            self.rows_read += 1
            return await self.timeline_reads.live_version(user_id, session_id)

        self.timelines = RedisTimelines(self.shared.link, self.trust, read, self.timeline_reads.state)
        bus = EventBus()
        bus.subscribe(PostEvent, self.shared.wakeups.on_change)
        bus.subscribe(SessionsChanged, self.shared.wakeups.on_change)
        self.units = SqlUnits(database, bus, self.timelines)
        self.posts = PostService(self.units, DatabaseReads(database))
        self._running: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._running = [asyncio.create_task(each.run()) for each in (self.trust, self.shared.wakeups)]

    async def stop(self) -> None:
        self.trust.stop()
        self.shared.wakeups.stop()
        await asyncio.wait(self._running)
        await self.shared.link.close()
        await self.database.close()

    async def believed(self, *, seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while self.shared.is_degraded:  # noqa: ASYNC110 - what is waited for happens elsewhere
                await asyncio.sleep(0.02)

    async def add_user(self) -> tuple[UUID, UUID]:
        user = UserFactory.build()
        session = SessionFactory.build(user_id=user.id)
        async with self.units() as unit:
            await unit.users.add(user)
            unit.sessions.add(session)
            unit.record(SessionsChanged(user_id=user.id))
            await unit.commit()
        return user.id, session.id

    async def write(self, user_id: UUID) -> None:
        await self.posts.create(user_id, PostCreateFactory.build())

    async def end_session(self, user_id: UUID, session_id: UUID) -> None:
        async with self.units() as unit:
            await unit.sessions.end(user_id, session_id)
            unit.record(SessionsChanged(user_id=user_id))
            await unit.commit()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
async def nodes(database: Database, server: RedisServer) -> AsyncIterator[list[Node]]:
    async with database.writer.begin() as connection:
        await connection.execute(update(SharedEpoch).values(epoch=1, server=""))
    nodes = [Node(Database(database.url, pool_size=5), server.url) for _ in range(2)]
    for node in nodes:
        await node.start()
    for node in nodes:
        await node.believed()
    yield nodes
    for node in nodes:
        await node.stop()


async def write_in_turns(nodes: list[Node], user_id: UUID, session_id: UUID, versions: range, *, pause: float) -> None:
    """Let one node after the other make the timeline's next versions, of which both know at once."""
    here, there = nodes
    for version in versions:
        await (here if version % 2 else there).write(user_id)
        for node in nodes:
            assert await node.timelines.version(user_id, session_id) == version
        await asyncio.sleep(pause)


async def test_what_one_node_writes_another_knows_at_once(nodes: list[Node]) -> None:
    here, there = nodes
    user_id, session_id = await here.add_user()

    for version in range(20):
        assert await there.timelines.version(user_id, session_id) == version
        assert await here.timelines.version(user_id, session_id) == version
        await (here if version % 2 else there).write(user_id)


async def test_a_known_version_costs_the_database_nothing(nodes: list[Node]) -> None:
    here, there = nodes
    user_id, session_id = await here.add_user()
    await here.timelines.version(user_id, session_id)

    for node in (here, there, here, there):
        assert await node.timelines.version(user_id, session_id) == 0
    assert (here.rows_read, there.rows_read) == (0, 0)


async def test_an_ended_session_is_known_everywhere_at_once(nodes: list[Node]) -> None:
    here, there = nodes
    user_id, session_id = await here.add_user()
    assert await there.timelines.version(user_id, session_id) == 0

    await here.end_session(user_id, session_id)

    assert await there.timelines.version(user_id, session_id) is None


async def test_someone_elses_session_opens_nothing(nodes: list[Node]) -> None:
    here, there = nodes
    (ada, adas_session), (bob, _) = await here.add_user(), await here.add_user()

    assert await there.timelines.version(bob, adas_session) is None
    assert await there.timelines.version(ada, adas_session) == 0


async def test_a_state_that_was_read_before_a_change_never_takes_the_place_of_a_newer_one(nodes: list[Node]) -> None:
    here, there = nodes
    user_id, session_id = await here.add_user()
    read, may_answer = asyncio.Event(), asyncio.Event()
    load = there.timelines._load

    async def load_slowly(user_id: UUID) -> object:
        state = await load(user_id)
        read.set()
        await may_answer.wait()
        return state

    there.timelines._load = load_slowly  # type: ignore[assignment]
    asking = asyncio.create_task(there.timelines.version(user_id, session_id))
    await read.wait()
    await here.write(user_id)
    may_answer.set()
    await asking

    there.timelines._load = load
    assert await there.timelines.version(user_id, session_id) == 1
    assert await here.timelines.version(user_id, session_id) == 1


async def test_nobody_believes_redis_while_a_commit_is_under_way(nodes: list[Node]) -> None:
    here, there = nodes
    user_id, session_id = await here.add_user()
    await there.timelines.version(user_id, session_id)

    async with here.timelines.changing({user_id}):
        assert await there.timelines.version(user_id, session_id) == 0
        assert there.rows_read == 1
    assert await there.timelines.version(user_id, session_id) == 0
    assert there.rows_read == 1


async def test_a_change_of_many_is_announced_at_once(nodes: list[Node], monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = nodes
    people = dict([await here.add_user() for _ in range(5)])
    for person in people.items():
        await there.timelines.version(*person)
    link, questions = here.shared.link, list[object]()
    execute = link._execute

    async def count(command: Callable[[str], tuple[Any, ...]]) -> object:
        questions.append(command)
        return await execute(command)

    monkeypatch.setattr(link, "_execute", count)
    async with here.timelines.changing(people):
        for person in people.items():
            assert await there.timelines.version(*person) == 0
        assert there.rows_read == len(people)
    for person in people.items():
        assert await there.timelines.version(*person) == 0

    assert there.rows_read == len(people)
    assert len(questions) == 2


async def test_nobody_believes_redis_after_a_commit_that_was_not_answered(nodes: list[Node]) -> None:
    here, there = nodes
    user_id, session_id = await here.add_user()
    await there.timelines.version(user_id, session_id)

    with pytest.raises(TimeoutError):
        async with here.timelines.changing({user_id}):
            raise TimeoutError

    for rows_read in (1, 2):
        assert await there.timelines.version(user_id, session_id) == 0
        assert there.rows_read == rows_read
    await here.write(user_id)
    assert await there.timelines.version(user_id, session_id) == 1


@pytest.mark.parametrize("fault", ["pause", "kill"])
async def test_a_redis_that_is_away_delays_little_and_hides_nothing(
    nodes: list[Node], server: RedisServer, fault: str
) -> None:
    here, there = nodes
    user_id, session_id = await here.add_user()
    assert await there.timelines.version(user_id, session_id) == 0

    getattr(server, fault)()
    began = time.monotonic()
    await here.write(user_id)
    assert time.monotonic() - began < 4
    assert await there.timelines.version(user_id, session_id) == 1
    began = time.monotonic()
    for version in (2, 3, 4):
        await here.write(user_id)
        assert await there.timelines.version(user_id, session_id) == version
    assert time.monotonic() - began < 1

    # It comes back with what it held when it went.
    server.resume() if fault == "pause" else server.start()
    await write_in_turns(nodes, user_id, session_id, range(5, 40), pause=0.15)
    for node in nodes:
        await node.believed()


async def test_a_redis_that_returns_with_old_data_is_not_believed(nodes: list[Node], server: RedisServer) -> None:
    here, there = nodes
    user_id, session_id = await here.add_user()
    await here.timelines.version(user_id, session_id)
    assert server.ask("SAVE") == b"+OK"
    await here.write(user_id)
    assert await there.timelines.version(user_id, session_id) == 1

    server.kill()
    server.start()

    assert server.ask("DBSIZE") != b":0"
    async with asyncio.timeout(30):
        while here.shared.is_degraded or there.shared.is_degraded:
            assert {await node.timelines.version(user_id, session_id) for node in nodes} == {1}
            await asyncio.sleep(0.01)
    for node in nodes:
        assert await node.timelines.version(user_id, session_id) == 1


async def test_a_redis_that_was_emptied_costs_a_question_only(nodes: list[Node], server: RedisServer) -> None:
    here, there = nodes
    user_id, session_id = await here.add_user()
    await here.write(user_id)
    await here.timelines.version(user_id, session_id)

    assert server.ask("FLUSHALL") == b"+OK"

    assert await there.timelines.version(user_id, session_id) == 1
    assert not there.shared.is_degraded


async def test_a_node_that_can_not_reach_redis_is_not_hidden_from_those_that_can(nodes: list[Node]) -> None:
    here, there = nodes
    user_id, session_id = await here.add_user()
    assert await there.timelines.version(user_id, session_id) == 0
    here.shared.link.report_failure()

    async def stay_away() -> None:
        return None

    here.shared.link.ping = stay_away  # type: ignore[method-assign]

    for version in range(1, 30):
        await here.write(user_id)
        assert await there.timelines.version(user_id, session_id) == version
        await asyncio.sleep(0.2)


async def test_without_the_epoch_nothing_is_believed(nodes: list[Node]) -> None:
    here, _ = nodes
    user_id, session_id = await here.add_user()
    await here.timelines.version(user_id, session_id)
    here.trust.stop()
    await asyncio.sleep(1.2)

    assert await here.timelines.version(user_id, session_id) == 0
    assert here.rows_read == 1
    # A writer asks, rather than not knowing whether it has something to announce.
    await here.write(user_id)
    assert await nodes[1].timelines.version(user_id, session_id) == 1


async def test_limits_are_counted_together_and_by_each_alone_without_redis(
    nodes: list[Node], server: RedisServer
) -> None:
    limits = [Limit("login", "3/minute", node.shared.counts) for node in nodes]
    await limits[0].hit("ada")
    await limits[1].hit("ada")
    await limits[0].hit("ada")
    with pytest.raises(TooManyRequests):
        await limits[1].hit("ada")

    server.pause()
    began = time.monotonic()
    await limits[1].hit("ada")
    assert time.monotonic() - began < 2
    for _ in range(2):
        await limits[1].hit("ada")
    with pytest.raises(TooManyRequests):
        await limits[1].hit("ada")
    server.resume()


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


async def test_many_writers_that_find_redis_gone_do_not_wait_for_each_other(
    nodes: list[Node], server: RedisServer
) -> None:
    here, there = nodes
    users = [await here.add_user() for _ in range(20)]
    server.kill()

    began = time.monotonic()
    await asyncio.gather(*(here.write(user_id) for user_id, _ in users))

    assert time.monotonic() - began < 5
    for user_id, session_id in users:
        assert await there.timelines.version(user_id, session_id) == 1


async def test_another_server_at_the_same_address_is_not_believed(nodes: list[Node], tmp_path: Path) -> None:
    here, there = nodes
    user_id, session_id = await here.add_user()
    assert await there.timelines.version(user_id, session_id) == 0
    with redis_server(tmp_path / "..") as other:
        astray = Node(Database(here.database.url, pool_size=5), other.url)
        await astray.start()
        await asyncio.sleep(0.5)

        await astray.write(user_id)
        for node in nodes:
            assert await node.timelines.version(user_id, session_id) == 1
        await astray.stop()


async def test_a_repeated_request_is_answered_when_everyone_knows_what_the_first_did(nodes: list[Node]) -> None:
    here, there = nodes
    user_id, session_id = await here.add_user()
    draft = PostCreateFactory.build()
    await here.posts.create(user_id, draft, "key")
    here.units._timelines = DatabaseTimelines(here.timeline_reads.live_version)
    assert await there.timelines.version(user_id, session_id) == 1
    await here.write(user_id)  # by one who tells nobody

    assert (await there.posts.create(user_id, draft, "key")).is_replayed

    assert await there.timelines.version(user_id, session_id) == 2


async def test_what_was_asked_earlier_and_answered_later_is_not_taken_for_news(nodes: list[Node]) -> None:
    trust = nodes[0].trust
    read, may_answer = trust._store.read, asyncio.Event()
    asked = await read()

    async def answer_late() -> Epoch:
        await may_answer.wait()
        return Epoch(asked.number - 1, "")

    trust._store.read = answer_late  # type: ignore[method-assign]
    late = asyncio.create_task(trust._look())
    await asyncio.sleep(0)
    trust._store.read = read  # type: ignore[method-assign]
    await trust._look()
    may_answer.set()
    await late

    assert await trust.writable() == asked.number


@pytest.fixture
def another_database() -> Iterator[URL]:
    with fresh_mariadb_database() as url:
        yield url


async def test_a_copy_of_the_database_has_its_own_state_on_the_same_redis(
    nodes: list[Node], server: RedisServer, another_database: URL
) -> None:
    here, _ = nodes
    user_id, session_id = await here.add_user()
    async with here.database.writer.begin() as connection:
        for table in ("users", "sessions", "shared_epoch"):
            await connection.execute(text(f"CREATE TABLE {another_database.database}.{table} LIKE {table}"))
            await connection.execute(text(f"INSERT INTO {another_database.database}.{table} SELECT * FROM {table}"))  # noqa: S608
    copy = Node(Database(another_database, pool_size=5), server.url)
    await copy.start()

    await here.end_session(user_id, session_id)
    for _ in range(2):
        assert await copy.timelines.version(user_id, session_id) == 0
        assert await here.timelines.version(user_id, session_id) is None
        await copy.believed()
    await copy.stop()


async def test_a_database_that_another_server_took_over_costs_questions_only(nodes: list[Node]) -> None:
    here, _ = nodes
    user_id, session_id = await here.add_user()
    await here.timelines.version(user_id, session_id)

    async with here.database.writer.begin() as connection:
        took_over = func.concat(func.substring_index(col(SharedEpoch.server), "@", 1), "@another")
        await connection.execute(update(SharedEpoch).values(server=took_over))

    await write_in_turns(nodes, user_id, session_id, range(1, 30), pause=0.1)
    for node in nodes:
        await node.believed()
        assert node.rows_read > 0
