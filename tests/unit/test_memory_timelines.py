"""The version and the sessions as one process remembers them."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from app.timelines.memory import MemoryTimelines, TimelineState
from events.types import PostCreatedEvent, SessionsChanged
from models.columns import now


class Table:
    """Stands for the database: what it holds, how often it was asked, and a gate to hold an answer back."""

    def __init__(self) -> None:
        self.states: dict[UUID, TimelineState] = {}
        self.loads = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def load(self, user_id: UUID) -> TimelineState | None:
        self.loads += 1
        state = self.states.get(user_id)
        await self.gate.wait()
        return state

    def add_user(self, version: int = 0) -> tuple[UUID, UUID]:
        user_id, session_id = uuid7(), uuid7()
        self.states[user_id] = TimelineState(version, {session_id: now() + timedelta(hours=1)})
        return user_id, session_id


def created(user_id: UUID, version: int) -> PostCreatedEvent:
    return PostCreatedEvent(user_id=user_id, version=version, post_id=uuid7(), occurred_at=now())


@pytest.fixture
def table() -> Table:
    return Table()


async def test_a_warm_user_costs_no_query(table: Table) -> None:
    timelines = MemoryTimelines(table.load)
    user_id, session_id = table.add_user(version=5)

    assert [await timelines.version(user_id, session_id) for _ in range(3)] == [5, 5, 5]
    assert table.loads == 1


async def test_a_change_moves_the_version_and_an_old_one_does_not_move_it_back(table: Table) -> None:
    timelines = MemoryTimelines(table.load)
    user_id, session_id = table.add_user(version=5)
    await timelines.version(user_id, session_id)

    await timelines.on_post_event(created(user_id, 7))
    await timelines.on_post_event(created(user_id, 6))

    assert await timelines.version(user_id, session_id) == 7
    assert table.loads == 1


async def test_a_state_that_changed_while_it_was_read_is_not_kept(table: Table) -> None:
    timelines = MemoryTimelines(table.load)
    user_id, session_id = table.add_user(version=5)
    table.gate.clear()
    reading = asyncio.ensure_future(timelines.version(user_id, session_id))
    await asyncio.sleep(0)

    table.states[user_id] = table.states[user_id]._replace(version=6)
    await timelines.on_post_event(created(user_id, 6))
    table.gate.set()

    assert await reading == 5
    assert await timelines.version(user_id, session_id) == 6


async def test_a_session_that_ended_while_it_was_read_is_not_kept(table: Table) -> None:
    timelines = MemoryTimelines(table.load)
    user_id, session_id = table.add_user()
    table.gate.clear()
    reading = asyncio.ensure_future(timelines.version(user_id, session_id))
    await asyncio.sleep(0)

    del table.states[user_id].sessions[session_id]
    table.states[user_id] = TimelineState(0, {})
    await timelines.on_sessions_changed(SessionsChanged(user_id=user_id))
    table.gate.set()
    await reading

    assert await timelines.version(user_id, session_id) is None


async def test_an_ended_session_is_refused_from_the_next_call_on(table: Table) -> None:
    timelines = MemoryTimelines(table.load)
    user_id, session_id = table.add_user()
    assert await timelines.version(user_id, session_id) == 0

    table.states[user_id] = TimelineState(0, {})
    await timelines.on_sessions_changed(SessionsChanged(user_id=user_id))

    assert await timelines.version(user_id, session_id) is None


async def test_a_session_is_good_until_it_expires(table: Table) -> None:
    at = now()
    timelines = MemoryTimelines(table.load, clock=lambda: at)
    user_id, session_id = table.add_user()
    table.states[user_id] = TimelineState(0, {session_id: at + timedelta(seconds=1)})

    assert await timelines.version(user_id, session_id) == 0
    at += timedelta(seconds=1)
    assert await timelines.version(user_id, session_id) is None


async def test_another_users_session_opens_nothing(table: Table) -> None:
    timelines = MemoryTimelines(table.load)
    (ada, _), (_, bobs_session) = table.add_user(), table.add_user()

    assert await timelines.version(ada, bobs_session) is None


async def test_an_unknown_user_is_no_one(table: Table) -> None:
    assert await MemoryTimelines(table.load).version(uuid7(), uuid7()) is None


async def test_it_remembers_so_many_users_and_no_more(table: Table) -> None:
    timelines = MemoryTimelines(table.load, max_users=2)
    ada, bob, eve = table.add_user(), table.add_user(), table.add_user()
    await timelines.version(*ada)
    await timelines.version(*bob)
    await timelines.version(*ada)
    await timelines.version(*eve)
    assert table.loads == 3

    await timelines.version(*ada)
    assert table.loads == 3
    await timelines.version(*bob)
    assert table.loads == 4


async def test_a_failed_read_is_not_remembered() -> None:
    class DatabaseIsAway(Exception):
        pass

    async def fail(_: UUID) -> TimelineState | None:
        raise DatabaseIsAway

    timelines = MemoryTimelines(fail)
    for _ in range(2):
        with pytest.raises(DatabaseIsAway):
            await timelines.version(uuid7(), uuid7())
