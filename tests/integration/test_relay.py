"""Delivery to durable listeners: every event at least once, each user's in order, whatever fails."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from uuid import UUID

import pytest
from sqlalchemy import delete, select
from sqlmodel import col

from app.database.engines import Database
from app.delivery.outbox import OutboxPolicy, SqlOutbox
from app.delivery.outbox_inspection import OutboxInspection
from app.storage.unit_of_work import SqlUnitOfWork
from events.relay import DurableListener, Relay, RelayPolicy, Taken
from events.types import PostEvent
from models import DeadLetter, ListenerProgress, StoredEvent, User
from tests.factories import PostCreateFactory
from tests.integration.users import add_user
from tests.service import service_on

PATIENT = RelayPolicy(poll=0.05, gather=0, first_delay=0.01, longest_delay=0.02)
HASTY = RelayPolicy(poll=0.05, gather=0, first_delay=0.01, longest_delay=0.02, attempts=3)


class Recorder:
    """A listener that notes what it was given, and fails on the versions it is told to fail on."""

    def __init__(self) -> None:
        self.taken: defaultdict[UUID, list[int]] = defaultdict(list)
        self.failing: set[tuple[UUID, int]] = set()
        self.failures = 0

    async def take(self, events: Sequence[PostEvent]) -> None:
        for event in events:
            if (event.user_id, event.version) in self.failing:
                self.failures += 1
                raise RuntimeError("told to fail")
            self.taken[event.user_id].append(event.version)

    def has(self, user_id: UUID, versions: list[int]) -> Callable[[], Awaitable[bool]]:
        async def compare() -> bool:
            return self.taken[user_id] == versions

        return compare


class Node:
    """One process's share of the service, as far as delivery needs it."""

    def __init__(
        self,
        database: Database,
        *listeners: str,
        policy: RelayPolicy = PATIENT,
        outbox_policy: OutboxPolicy = OutboxPolicy(),  # noqa: B008 - it is frozen
    ) -> None:
        self.database = database
        service = service_on(database)
        self.bus = service.bus
        self.transactions = service.transactions
        self.posts = service.posts
        self.outbox = SqlOutbox(database, listeners or ("recorder",), outbox_policy)
        self.recorders = {name: Recorder() for name in listeners or ("recorder",)}
        self.relays = {
            name: Relay(DurableListener(name, recorder.take), self.outbox, policy)
            for name, recorder in self.recorders.items()
        }

    @property
    def recorder(self) -> Recorder:
        return self.recorders["recorder"]

    @property
    def relay(self) -> Relay:
        return self.relays["recorder"]

    async def add_user(self) -> UUID:
        return await add_user(self.transactions)

    async def write(self, user_id: UUID, count: int = 1) -> None:
        for _ in range(count):
            await self.posts.create(user_id, PostCreateFactory.build())

    async def undelivered(self) -> list[UUID]:
        statement = select(col(User.id)).where(col(User.undelivered_since).is_not(None))
        async with self.database.reading() as connection:
            return list((await connection.execute(statement)).scalars())

    async def is_settled(self) -> bool:
        return not await self.undelivered()

    async def delivered(self) -> None:
        """Deliver, again and again, until nothing is left."""
        async with asyncio.timeout(30):
            while await self.undelivered():
                await self.relay.deliver()
                await self.outbox.mark_delivered()

    async def dead(self) -> list[tuple[str, UUID, int, str]]:
        statement = select(
            col(DeadLetter.listener), col(DeadLetter.user_id), col(DeadLetter.version), col(DeadLetter.error)
        )
        async with self.database.reading() as connection:
            return [tuple(row) for row in (await connection.execute(statement)).all()]  # type: ignore[misc]

    async def progress(self, user_id: UUID) -> int:
        statement = select(col(ListenerProgress.version)).where(col(ListenerProgress.user_id) == user_id)
        async with self.database.reading() as connection:
            return int((await connection.execute(statement)).scalar_one())


async def eventually(condition: Callable[[], Awaitable[bool]], *, seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - what is waited for happens in the database
            await asyncio.sleep(0.02)


@pytest.fixture
def node(database: Database) -> Node:
    return Node(database)


@pytest.fixture
async def other(database: Database) -> AsyncIterator[Node]:
    """Another process on the same database; of SQLite, the same one started again."""
    node = Node(Database(database.url, pool_size=5))
    yield node
    await node.database.close()


async def test_every_event_is_delivered_in_order_and_then_nothing_is_left(node: Node) -> None:
    ada, bob = await node.add_user(), await node.add_user()
    await node.write(ada, 3)
    await node.write(bob, 2)

    assert await node.relay.deliver()

    assert node.recorder.taken == {ada: [1, 2, 3], bob: [1, 2]}
    assert not await node.relay.deliver()
    assert sorted(await node.undelivered()) == sorted([ada, bob])
    await node.outbox.mark_delivered()
    assert await node.undelivered() == []

    await node.write(ada)
    assert await node.undelivered() == [ada]
    await node.relay.deliver()
    assert node.recorder.taken[ada] == [1, 2, 3, 4]


async def test_what_a_crash_left_behind_is_delivered_after_it(node: Node, other: Node) -> None:
    ada = await node.add_user()
    await node.write(ada, 3)
    async with node.outbox.claim("recorder") as ((backlog,), _):
        await node.recorder.take(backlog.events)
        # What became of it is never marked.

    assert await other.relay.deliver()
    assert other.recorder.taken[ada] == [1, 2, 3]


async def test_whoever_writes_without_pause_keeps_nobody_waiting(database: Database) -> None:
    node = Node(database, outbox_policy=OutboxPolicy(users_per_batch=2, events_per_batch=10))
    busy = [await node.add_user() for _ in range(3)]
    for user_id in busy:
        await node.write(user_id, 20)

    for _ in range(5):
        late = await node.add_user()
        await node.write(late)
        await node.relay.deliver()
        for user_id in busy:
            await node.write(user_id, 10)
        await node.relay.deliver()
        # Three busy users and one other are two batches of two.
        assert node.recorder.taken[late] == [1]

    taken = [node.recorder.taken[user_id] for user_id in busy]
    assert all(versions == list(range(1, len(versions) + 1)) for versions in taken)
    assert min(map(len, taken)) > 0


async def test_a_failing_event_is_tried_again_and_holds_up_nobody_else(node: Node) -> None:
    ada, bob = await node.add_user(), await node.add_user()
    await node.write(ada, 4)
    await node.write(bob, 2)
    node.recorder.failing = {(ada, 3)}

    await node.relay.deliver()
    assert node.recorder.taken[bob] == [1, 2]
    assert await node.dead() == []

    node.recorder.failing = set()
    await node.delivered()
    assert node.recorder.taken == {ada: [1, 2, 1, 2, 3, 4], bob: [1, 2]}


async def test_an_event_that_fails_too_often_is_given_up_and_the_rest_goes_on(database: Database) -> None:
    node = Node(database, policy=HASTY)
    ada = await node.add_user()
    await node.write(ada, 4)
    node.recorder.failing = {(ada, 2)}

    await node.delivered()

    assert await node.dead() == [("recorder", ada, 2, "RuntimeError")]
    # The first attempt was at all four; of the rest each began with what was lacking, one event at a time.
    assert node.recorder.taken[ada] == [1, 1, 3, 4]
    assert node.recorder.failures == 4


async def test_each_listener_has_its_own_progress(database: Database) -> None:
    node = Node(database, "steady", "failing")
    ada = await node.add_user()
    await node.write(ada, 2)
    node.recorders["failing"].failing = {(ada, 1)}

    for relay in node.relays.values():
        await relay.deliver()
    await node.outbox.mark_delivered()

    assert node.recorders["steady"].taken[ada] == [1, 2]
    assert await node.undelivered() == [ada]
    assert not await node.relays["steady"].deliver()


async def test_a_new_listener_begins_with_the_oldest_event_that_is_kept(database: Database) -> None:
    node = Node(database)
    ada = await node.add_user()
    await node.write(ada, 3)
    await node.relay.deliver()
    async with database.writer.begin() as connection:
        await connection.execute(delete(StoredEvent).where(col(StoredEvent.version) == 1))
    newer = Node(database, "recorder", "newcomer")
    await newer.write(ada)

    await newer.relays["newcomer"].deliver()

    assert newer.recorders["newcomer"].taken[ada] == [2, 3, 4]


async def test_a_history_whose_beginning_is_pruned_is_delivered_in_shares_from_where_it_begins(
    database: Database,
) -> None:
    node = Node(database, outbox_policy=OutboxPolicy(events_per_batch=4))
    ada, bob = await node.add_user(), await node.add_user()
    await node.write(ada, 12)
    await node.write(bob, 3)
    async with database.writer.begin() as connection:
        await connection.execute(
            delete(StoredEvent).where(col(StoredEvent.user_id) == ada, col(StoredEvent.version) <= 7)
        )

    await node.relay.deliver()
    assert node.recorder.taken == {ada: [8, 9], bob: [1, 2]}
    await node.delivered()

    assert node.recorder.taken == {ada: [8, 9, 10, 11, 12], bob: [1, 2, 3]}


async def test_history_that_is_not_kept_is_not_waited_for(node: Node) -> None:
    ada = await node.add_user()
    await node.write(ada, 2)
    async with node.database.writer.begin() as connection:
        await connection.execute(delete(StoredEvent))

    await node.relay.deliver()
    await node.outbox.mark_delivered()

    assert node.recorder.taken == {}
    assert await node.undelivered() == []


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
async def test_processes_share_the_work_without_doubling_it(database: Database) -> None:
    nodes = [Node(Database(database.url, pool_size=5)) for _ in range(3)]
    users = [await nodes[0].add_user() for _ in range(6)]
    running = [asyncio.create_task(node.relay.run()) for node in nodes]

    await asyncio.gather(*(nodes[n % 3].write(user, 15) for n, user in enumerate(users)))
    await eventually(nodes[0].is_settled)

    taken = {user: [version for node in nodes for version in node.recorder.taken[user]] for user in users}
    assert {user: sorted(versions) for user, versions in taken.items()} == {user: list(range(1, 16)) for user in users}
    assert all(node.recorder.taken[user] == sorted(node.recorder.taken[user]) for node in nodes for user in users)
    for node in nodes:
        node.relay.stop()
    await asyncio.wait(running)
    for node in nodes:
        await node.database.close()


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
async def test_what_another_process_delivers_is_left_to_it(node: Node, database: Database) -> None:
    other = Node(database, outbox_policy=OutboxPolicy(left_out_seconds=0.05))
    ada, bob = await node.add_user(), await node.add_user()
    await node.write(ada, 2)

    async with node.outbox.claim("recorder") as (claimed, _):
        assert [backlog.user_id for backlog in claimed] == [ada]
        await node.write(bob)
        assert await other.relay.deliver()
        assert other.recorder.taken == {bob: [1]}

    await asyncio.sleep(0.05)
    assert await other.relay.deliver()
    assert other.recorder.taken[ada] == [1, 2]


async def test_a_call_that_hangs_holds_up_nobody_for_long(database: Database) -> None:
    node = Node(database)
    ada, bob = await node.add_user(), await node.add_user()
    hangs, ended = asyncio.Event(), asyncio.Event()

    async def take(events: Sequence[PostEvent]) -> None:
        if events[0].user_id == ada:
            hangs.set()
            try:
                await asyncio.sleep(60)
            finally:
                ended.set()
        await node.recorder.take(events)

    policy = RelayPolicy(poll=0.05, gather=0, timeout=3)
    relay = Relay(DurableListener("recorder", take), node.outbox, policy)
    running = asyncio.create_task(relay.run())
    await node.write(ada)
    await hangs.wait()
    await node.write(bob)

    await eventually(node.recorder.has(bob, [1]))
    assert not ended.is_set()
    relay.stop()
    await asyncio.wait([running])
    assert ended.is_set()


async def test_a_change_wakes_the_relay(database: Database) -> None:
    node = Node(database)
    policy = RelayPolicy(poll=30, gather=0)
    relay = Relay(DurableListener("recorder", node.recorder.take), node.outbox, policy)
    node.bus.subscribe(PostEvent, relay.on_change)
    ada = await node.add_user()
    running = asyncio.create_task(relay.run())
    await asyncio.sleep(0.1)

    await node.write(ada)

    await eventually(node.recorder.has(ada, [1]))
    relay.stop()
    await asyncio.wait([running])


async def test_a_crowd_is_delivered_without_a_pause_between_its_batches(database: Database) -> None:
    node = Node(database, policy=RelayPolicy(poll=30, gather=30), outbox_policy=OutboxPolicy(users_per_batch=2))
    users = [await node.add_user() for _ in range(5)]
    for user_id in users:
        await node.write(user_id)

    running = asyncio.create_task(node.relay.run())

    await eventually(node.recorder.has(users[-1], [1]))
    assert node.recorder.taken == {user_id: [1] for user_id in users}
    node.relay.stop()
    await asyncio.wait([running])


async def test_all_who_have_everything_are_put_aside_however_many_they_are(database: Database) -> None:
    node = Node(database, outbox_policy=OutboxPolicy(events_per_batch=2))
    for _ in range(5):
        await node.write(await node.add_user())
    while await node.relay.deliver():
        pass

    await node.outbox.mark_delivered()

    assert await node.undelivered() == []


async def test_a_relay_that_is_told_to_stop_finishes_the_call_and_remembers_it(database: Database) -> None:
    node = Node(database)
    ada = await node.add_user()
    await node.write(ada, 3)
    began, may_end = asyncio.Event(), asyncio.Event()

    async def take(events: Sequence[PostEvent]) -> None:
        began.set()
        await may_end.wait()
        await node.recorder.take(events)

    relay = Relay(DurableListener("recorder", take), node.outbox, PATIENT)
    running = asyncio.create_task(relay.run())
    await began.wait()
    relay.stop()
    await asyncio.sleep(0.05)
    assert not running.done()
    may_end.set()
    await asyncio.wait([running])

    assert node.recorder.taken[ada] == [1, 2, 3]
    assert await node.progress(ada) == 3


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
async def test_who_is_just_being_erased_costs_the_others_nothing(node: Node) -> None:
    ada, bob = await node.add_user(), await node.add_user()
    await node.write(ada)
    await node.write(bob)

    async with node.transactions.begin() as unit:
        await unit.users.delete(await unit.users.lock(ada))
        assert isinstance(unit, SqlUnitOfWork)
        await unit._session.flush()
        delivering = asyncio.create_task(node.relay.deliver())
        await eventually(node.recorder.has(bob, [1]))
        await asyncio.sleep(0.1)
        await unit.commit()
    await delivering

    assert await node.progress(bob) == 1


async def test_an_erased_user_leaves_nothing_to_deliver(node: Node) -> None:
    ada = await node.add_user()
    await node.write(ada)

    async with node.outbox.claim("recorder"), node.transactions.begin() as unit:
        await unit.users.delete(await unit.users.lock(ada))
        await unit.commit()

    assert not await node.relay.deliver()
    assert await node.undelivered() == []


def test_the_delay_between_attempts_grows_up_to_a_limit() -> None:
    policy = RelayPolicy(first_delay=1, longest_delay=60)

    delays = [policy.delay(attempt).total_seconds() for attempt in range(1, 12)]

    for attempt, delay in enumerate(delays):
        full = min(60, 2**attempt)
        assert full / 2 <= delay <= full


async def test_an_operator_sees_who_is_behind_and_what_was_given_up(database: Database) -> None:
    node = Node(database, policy=HASTY)
    inspection = OutboxInspection(database, ["recorder"])
    assert await inspection.status() == [("recorder", 0, 0, None, 0, "", 0)]
    ada, bob = await node.add_user(), await node.add_user()
    await node.write(ada, 3)
    await node.write(bob)
    node.recorder.failing = {(ada, 2)}

    (before,) = await inspection.status()
    await node.relay.deliver()
    (failing,) = await inspection.status()
    await node.delivered()
    (after,) = await inspection.status()

    assert (before.behind, before.events, before.failing, before.dead) == (2, 4, 0, 0)
    assert before.since is not None
    assert (failing.behind, failing.events, failing.dead) == (1, 3, 0)
    assert (failing.failing, failing.error) == (1, "RuntimeError")
    assert after == ("recorder", 0, 0, None, 0, "", 1)
    ((letter, type_),) = await inspection.dead_letters()
    assert (letter.listener, letter.user_id, letter.version, letter.error) == ("recorder", ada, 2, "RuntimeError")
    assert type_ == "post.created"


async def test_dead_letters_are_delivered_again_with_what_followed_them(database: Database) -> None:
    node = Node(database, policy=HASTY)
    inspection = OutboxInspection(database, ["recorder"])
    ada, bob = await node.add_user(), await node.add_user()
    await node.write(ada, 4)
    await node.write(bob)
    node.recorder.failing = {(ada, 2)}
    await node.delivered()
    node.recorder.failing = set()
    node.recorder.taken.clear()

    assert await inspection.replay_dead_letters("recorder") == 1
    await node.delivered()

    assert node.recorder.taken == {ada: [2, 3, 4]}
    assert await node.dead() == []


async def test_all_that_is_kept_is_delivered_again_to_one_user_or_all(database: Database) -> None:
    node = Node(database)
    inspection = OutboxInspection(database, ["recorder"])
    ada, bob = await node.add_user(), await node.add_user()
    await node.write(ada, 2)
    await node.write(bob)
    await node.delivered()
    node.recorder.taken.clear()

    assert await inspection.replay_all("recorder", ada) == 1
    await node.delivered()
    assert node.recorder.taken == {ada: [1, 2]}

    assert await inspection.replay_all("recorder") == 2
    await node.delivered()
    assert node.recorder.taken == {ada: [1, 2, 1, 2], bob: [1]}


async def test_a_replay_that_is_asked_for_during_a_delivery_is_not_lost(node: Node) -> None:
    ada = await node.add_user()
    await node.write(ada, 2)
    await node.delivered()
    await node.write(ada)

    async with node.outbox.claim("recorder") as ((backlog,), _):
        await OutboxInspection(node.database, ["recorder"]).replay_all("recorder")
        await node.outbox.mark("recorder", [Taken(backlog, 3)])
    await node.delivered()

    assert node.recorder.taken[ada] == [1, 2, 1, 2, 3]


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
async def test_users_that_another_process_holds_on_to_are_not_in_the_way_of_others(database: Database) -> None:
    node, other = (Node(database, outbox_policy=OutboxPolicy(users_per_batch=2)) for _ in range(2))
    held = [await node.add_user() for _ in range(2)]
    for user_id in held:
        await node.write(user_id)

    async with node.outbox.claim("recorder") as (claimed, _):
        assert {backlog.user_id for backlog in claimed} == set(held)
        later = await node.add_user()
        await node.write(later)
        await other.relay.deliver()
        await other.relay.deliver()

    assert other.recorder.taken == {later: [1]}
