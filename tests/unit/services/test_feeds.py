"""Following a timeline."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from app.ports.security import Principal
from app.services.feeds import Reset, Signal
from events.types import PostEvent
from models import PostCreate
from tests.fakes.queries import InMemoryQueries
from tests.unit.services.conftest import World

Entry = PostEvent | Reset | Signal


async def write(world: World, user: Principal, count: int = 1) -> None:
    for _ in range(count):
        await world.posts.create(user.user_id, PostCreate(text="hello"))


async def follow(world: World, user: Principal, after: int | None) -> AsyncIterator[Entry]:
    """Return a feed that has begun: the first entry says that it is open."""
    entries = world.feeds.follow(user.user_id, user.session_id, after)
    assert await anext(entries) is Signal.HEARTBEAT
    return entries


async def versions(entries: AsyncIterator[Entry], count: int) -> list[int]:
    found = [await anext(entries) for _ in range(count)]
    return [entry.version for entry in found if isinstance(entry, PostEvent)]


async def test_a_feed_resumes_after_a_version_and_goes_on_with_what_follows(world: World, ada: Principal) -> None:
    await write(world, ada, 5)

    entries = await follow(world, ada, 2)
    assert await versions(entries, 3) == [3, 4, 5]

    next_one = asyncio.create_task(versions(entries, 1))
    await write(world, ada)
    assert await next_one == [6]


async def test_without_a_version_it_begins_with_the_next_change(world: World, ada: Principal) -> None:
    await write(world, ada, 3)
    entries = await follow(world, ada, None)
    next_one = asyncio.create_task(versions(entries, 1))
    await asyncio.sleep(0)

    await write(world, ada)

    assert await next_one == [4]


async def test_a_version_that_never_was_resets_the_follower(world: World, ada: Principal) -> None:
    await write(world, ada, 2)

    entries = await follow(world, ada, 9)

    assert await anext(entries) == Reset(2)


async def test_history_that_was_pruned_resets_the_follower(world: World, ada: Principal) -> None:
    await write(world, ada, 4)
    del world.database.events[ada.user_id][2]

    entries = await follow(world, ada, 0)

    assert [await anext(entries) for _ in range(2)] == [world.database.events[ada.user_id][1], Reset(4)]


async def test_a_feed_ends_with_its_session(world: World, ada: Principal) -> None:
    entries = await follow(world, ada, None)
    ending = asyncio.create_task(anext(entries, None))
    await asyncio.sleep(0)

    await world.sessions.log_out(ada)

    assert await ending is None
    assert world.wakeups.followed == []


async def test_a_feed_ends_with_the_process(world: World, ada: Principal) -> None:
    entries = await follow(world, ada, None)
    ending = asyncio.create_task(anext(entries, None))
    await asyncio.sleep(0)

    world.wakeups.stop()

    assert await ending is None


async def test_feeds_of_one_timeline_at_one_place_share_a_read(
    world: World, ada: Principal, bob: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    feeds = [await follow(world, user, 0) for user in [ada] * 20 + [bob]]
    reads: list[tuple[UUID, int]] = []
    read = InMemoryQueries.events_after

    async def count(queries: InMemoryQueries, user_id: UUID, version: int, limit: int) -> list[PostEvent]:
        reads.append((user_id, version))
        await asyncio.sleep(0)
        return await read(queries, user_id, version, limit)

    monkeypatch.setattr(InMemoryQueries, "events_after", count)
    for number in range(1, 4):
        waiting = [asyncio.create_task(versions(feed, 1)) for feed in feeds]
        await asyncio.sleep(0.01)
        for user in (ada, bob):
            await write(world, user)
        assert await asyncio.gather(*waiting) == [[number]] * 21

    assert Counter(reads) == {(user.user_id, version): 1 for user in (ada, bob) for version in range(3)}


async def test_a_feed_that_ends_takes_no_read_from_the_others(
    world: World, ada: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(world, ada)
    may_read, read = asyncio.Event(), InMemoryQueries.events_after

    async def read_later(queries: InMemoryQueries, user_id: UUID, version: int, limit: int) -> list[PostEvent]:
        await may_read.wait()
        return await read(queries, user_id, version, limit)

    monkeypatch.setattr(InMemoryQueries, "events_after", read_later)
    first, second = [asyncio.create_task(versions(await follow(world, ada, 0), 1)) for _ in range(2)]
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.wait({first})
    may_read.set()

    assert await asyncio.wait_for(second, 10) == [1]
