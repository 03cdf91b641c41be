"""Following a timeline: in order, without gap or repetition, from wherever the follower was."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import delete
from sqlmodel import col

from app.database.engines import Database
from app.delivery.timeline_watcher import TimelineWatcher
from app.services.feeds import FeedService, Reset, Signal
from app.timelines.queries import TimelineQueries
from events.types import PostEvent, SessionsChanged
from models import StoredEvent
from tests.factories import PostCreateFactory
from tests.integration.users import add_user_with_session
from tests.service import service_on


class Node:
    """One process's share of the service, as far as the feed needs it."""

    def __init__(self, database: Database, heartbeat_seconds: float = 5, events_per_read: int = 100) -> None:
        self.database = database
        service = service_on(database)
        self.wakeups = service.wakeups
        self.transactions = service.transactions
        self.posts = service.posts
        self.feed = FeedService(
            service.queries,
            service.timelines,
            service.wakeups,
            heartbeat_seconds=heartbeat_seconds,
            events_per_read=events_per_read,
        )

    async def add_user(self) -> tuple[UUID, UUID]:
        return await add_user_with_session(self.transactions)

    async def write(self, user_id: UUID, count: int) -> None:
        for _ in range(count):
            await self.posts.create(user_id, PostCreateFactory.build())

    async def end_session(self, user_id: UUID, session_id: UUID) -> None:
        async with self.transactions.begin() as unit:
            await unit.sessions.end(user_id, session_id)
            unit.record(SessionsChanged(user_id=user_id))
            await unit.commit()


Entries = AsyncIterator[PostEvent | Reset | Signal]


async def take(entries: Entries, count: int) -> list[PostEvent | Reset]:
    """Return the next entries that are no heartbeat."""
    taken: list[PostEvent | Reset] = []
    async with asyncio.timeout(30):
        while len(taken) < count:
            entry = await anext(entries)
            if not isinstance(entry, Signal):
                taken.append(entry)
    return taken


async def versions(entries: Entries, count: int) -> list[int]:
    return [entry.version for entry in await take(entries, count)]


async def is_over(entries: Entries) -> bool:
    async with asyncio.timeout(30):
        return [entry async for entry in entries if not isinstance(entry, Signal)] == []


@pytest.fixture
def node(database: Database) -> Node:
    return Node(database)


async def test_a_follower_sees_each_change_as_it_is_committed(node: Node) -> None:
    user_id, session_id = await node.add_user()
    entries = node.feed.follow(user_id, session_id, None)
    assert await anext(entries) is Signal.HEARTBEAT
    seeing = asyncio.create_task(take(entries, 3))
    await asyncio.sleep(0.1)

    post_id = (await node.posts.create(user_id, PostCreateFactory.build())).post_id
    await node.posts.delete(user_id, post_id)
    await node.write(user_id, 1)

    seen = await seeing
    assert [(entry.type, entry.version) for entry in seen if isinstance(entry, PostEvent)] == [
        ("post.created", 1),
        ("post.deleted", 2),
        ("post.created", 3),
    ]


async def test_many_writers_leave_no_gap_and_no_repetition(node: Node) -> None:
    user_id, session_id = await node.add_user()
    seeing = asyncio.create_task(versions(node.feed.follow(user_id, session_id, 0), 60))

    await asyncio.gather(*(node.write(user_id, 10) for _ in range(6)))

    assert await seeing == list(range(1, 61))


async def test_a_follower_goes_on_where_it_was(node: Node) -> None:
    user_id, session_id = await node.add_user()
    await node.write(user_id, 5)

    assert await versions(node.feed.follow(user_id, session_id, 3), 2) == [4, 5]
    assert await versions(node.feed.follow(user_id, session_id, 0), 5) == [1, 2, 3, 4, 5]


async def test_more_events_than_are_read_at_once_come_in_order(database: Database) -> None:
    node = Node(database, events_per_read=3)
    user_id, session_id = await node.add_user()
    await node.write(user_id, 10)

    assert await versions(node.feed.follow(user_id, session_id, 0), 10) == list(range(1, 11))


async def test_history_that_is_not_kept_resets_the_follower(node: Node) -> None:
    user_id, session_id = await node.add_user()
    await node.write(user_id, 5)
    async with node.database.writer.begin() as connection:
        await connection.execute(delete(StoredEvent).where(col(StoredEvent.version) <= 3))

    entries = node.feed.follow(user_id, session_id, 1)

    assert await take(entries, 1) == [Reset(5)]
    await node.write(user_id, 1)
    assert await versions(entries, 1) == [6]
    assert await versions(node.feed.follow(user_id, session_id, 3), 2) == [4, 5]


async def test_a_gap_in_the_history_resets_the_follower(node: Node) -> None:
    user_id, session_id = await node.add_user()
    await node.write(user_id, 8)
    async with node.database.writer.begin() as connection:
        await connection.execute(delete(StoredEvent).where(col(StoredEvent.version).in_([1, 2, 4, 5])))

    entries = node.feed.follow(user_id, session_id, 2)

    (kept,) = await take(entries, 1)
    assert kept.version == 3
    assert await take(entries, 1) == [Reset(8)]
    await node.write(user_id, 1)
    assert await versions(entries, 1) == [9]


async def test_a_version_that_never_was_resets_the_follower(node: Node) -> None:
    user_id, session_id = await node.add_user()
    await node.write(user_id, 2)

    assert await take(node.feed.follow(user_id, session_id, 99), 1) == [Reset(2)]


async def test_one_persons_changes_are_no_news_to_another(node: Node) -> None:
    (ada, adas_session), (bob, _) = await node.add_user(), await node.add_user()
    entries = node.feed.follow(ada, adas_session, None)
    await anext(entries)
    seeing = asyncio.create_task(take(entries, 1))
    await asyncio.sleep(0.1)

    await node.write(bob, 3)
    await node.write(ada, 1)

    (seen,) = await seeing
    assert isinstance(seen, PostEvent)
    assert (seen.user_id, seen.version) == (ada, 1)


async def test_a_quiet_timeline_is_heard_from_now_and_then(database: Database) -> None:
    node = Node(database, heartbeat_seconds=0.05)
    user_id, session_id = await node.add_user()
    entries = node.feed.follow(user_id, session_id, None)

    async with asyncio.timeout(5):
        assert [await anext(entries) for _ in range(4)] == [Signal.HEARTBEAT] * 4


async def test_the_feed_ends_with_its_session(node: Node) -> None:
    user_id, session_id = await node.add_user()
    entries = node.feed.follow(user_id, session_id, None)
    await anext(entries)
    ending = asyncio.create_task(is_over(entries))
    await asyncio.sleep(0.1)

    await node.end_session(user_id, session_id)

    assert await ending
    assert node.wakeups.followed == []


async def test_the_feed_ends_with_the_process(node: Node) -> None:
    user_id, session_id = await node.add_user()
    entries = node.feed.follow(user_id, session_id, None)
    await anext(entries)
    ending = asyncio.create_task(is_over(entries))
    await asyncio.sleep(0.1)

    node.wakeups.stop()

    assert await ending


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
async def test_changes_and_endings_of_another_process_are_noticed(database: Database) -> None:
    here, there = Node(database, heartbeat_seconds=60), Node(Database(database.url, pool_size=2))
    user_id, session_id = await here.add_user()
    watch = TimelineWatcher(here.wakeups, TimelineQueries(database).fingerprints, timedelta(seconds=0.05))
    watching = asyncio.create_task(watch.run())
    entries = here.feed.follow(user_id, session_id, 0)

    for version in (1, 2, 3):
        await there.write(user_id, 1)
        assert await versions(entries, 1) == [version]
    await there.end_session(user_id, session_id)
    assert await is_over(entries)

    watch.stop()
    await watching
    await there.database.close()


async def test_a_session_that_ends_while_its_follower_catches_up_is_told_no_more(database: Database) -> None:
    node = Node(database, events_per_read=3)
    user_id, session_id = await node.add_user()
    await node.write(user_id, 9)
    entries = node.feed.follow(user_id, session_id, 0)
    assert await versions(entries, 3) == [1, 2, 3]

    await node.end_session(user_id, session_id)

    assert await is_over(entries)
