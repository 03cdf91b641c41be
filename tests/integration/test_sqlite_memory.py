"""The database in this process's memory: one connection that keeps what many would promise."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import aclosing
from threading import Event, active_count
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import OperationalError
from sqlmodel import SQLModel

from app.database import sqlite_memory
from app.database.engines import MAX_SNAPSHOTS, Database
from app.database.sqlite_copy import copy_owned
from app.service import Policies
from app.storage.policy import ListPolicy, StoragePolicy
from models import PostCreate, PostUpdate, User, Webhook, WebhookDelivery
from tests.factories import PostCreateFactory, SessionFactory, personal_token
from tests.integration.ledger import Ledger

pytestmark = pytest.mark.parametrize("database_url", ["sqlite-memory"], indirect=True)

# They are nobody's, or the operator's, so no snapshot reads them.
NOT_COPIED = {"erasures", "invitations"}
IN_PARTS = Policies(
    storage=StoragePolicy(
        ListPolicy(part_posts=2, max_held_bytes=1, overhead_bytes=0, small_posts=0, exported_rows_per_statement=1)
    )
)


@pytest.fixture
def ledger(database: Database) -> Ledger:
    """What reads even short lists in parts."""
    return Ledger(database, IN_PARTS)


async def add_owner_of_everything(ledger: Ledger, *, posts: int = 7) -> UUID:
    """Add a user with two rows at least of everything that an export shows."""
    user_id = await ledger.add_user()
    async with ledger.transactions.begin() as unit:
        for number in range(2):
            webhook = Webhook(user_id=user_id, url=f"https://example.com/{number}")
            tests = [WebhookDelivery.test_of(webhook) for _ in range(2)]
            tests[1].version = 1
            for row in (webhook, *tests, SessionFactory.build(user_id=user_id), personal_token(user_id)):
                await unit.add(row)
        await unit.commit()
    for number in range(posts):
        await ledger.posts.create(user_id, PostCreate(text=f"post {number} 👋"))
    return user_id


async def rest_of(lines: AsyncIterator[Any]) -> list[Any]:
    return [line async for line in lines]


def timeless(exported: list[Any]) -> list[Any]:
    """Return the lines of an export, of the first only its version: it also names the time."""
    return [exported[0].entry.version, *exported[1:]]


async def copied_tables(connection: Any) -> set[str]:
    """Return the tables of a snapshot's copy; none if it still reads from the database itself."""
    handle = (await connection.get_raw_connection()).driver_connection
    if handle._copy is None:
        return set()
    return set((await connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table'"))).all())


async def set_version(database: Database, version: int) -> None:
    async with database.writer.begin() as connection:
        await connection.execute(update(User).values(timeline_version=version))


async def test_a_read_waits_for_a_transaction_and_sees_nothing_of_one_that_is_rolled_back(ledger: Ledger) -> None:
    user_id = await ledger.add_user()

    async with ledger.database.writer.connect() as connection:
        await connection.execute(update(User).values(timeline_version=9))
        reading = asyncio.create_task(ledger.version(user_id))
        done, _ = await asyncio.wait({reading}, timeout=0.05)
        assert not done
        await connection.rollback()

    assert await reading == 0


async def test_an_export_shows_one_state_wherever_others_write_in_between(ledger: Ledger) -> None:
    user_id = await add_owner_of_everything(ledger)
    other = await add_owner_of_everything(ledger)

    state = await rest_of(ledger.exports.lines(user_id, None))
    assert [line.kind for line in state].count("webhook_delivery") == 4
    post_id = state[1].entry.postID
    for seen in range(1, len(state)):
        async with aclosing(ledger.exports.lines(user_id, None)) as lines:
            exported = [await anext(lines) for _ in range(seen)]
            await ledger.posts.update(user_id, post_id, PostUpdate(text=f"edited {seen}"))
            await ledger.posts.create(other, PostCreateFactory.build())
            exported += await rest_of(lines)

        assert timeless(exported) == timeless(state)
        state = await rest_of(ledger.exports.lines(user_id, None))


async def test_each_table_with_an_owner_is_copied(ledger: Ledger) -> None:
    user_id = await ledger.add_user()

    async with ledger.database.snapshot(user_id) as connection:
        await connection.execute(text("SELECT 1"))
        await set_version(ledger.database, 8)
        copied = await copied_tables(connection)

    assert copied == set(SQLModel.metadata.tables) - NOT_COPIED


async def test_nothing_is_copied_for_a_snapshot_that_nobody_writes_beside(ledger: Ledger) -> None:
    user_id = await add_owner_of_everything(ledger)

    async with ledger.database.snapshot(user_id) as connection:
        await connection.execute(text("SELECT 1"))
        await ledger.version(user_id)
        assert await copied_tables(connection) == set()


async def test_copies_end_with_their_snapshots(ledger: Ledger) -> None:
    users = [await add_owner_of_everything(ledger) for _ in range(MAX_SNAPSHOTS)]
    threads = active_count()

    for version in range(10, 14):
        readers = [ledger.exports.lines(user_id, None) for user_id in users]
        for reader in readers:
            await anext(reader)
        await set_version(ledger.database, version)
        assert active_count() == threads + MAX_SNAPSHOTS
        for reader in readers:
            await reader.aclose()

        async with asyncio.timeout(30):
            while active_count() > threads:  # noqa: ASYNC110 - threads end elsewhere
                await asyncio.sleep(0)


async def test_lists_and_versions_match_while_many_write_and_read(ledger: Ledger) -> None:
    users = [await ledger.add_user() for _ in range(4)]
    writing = asyncio.Event()
    is_written = asyncio.Event()

    async def write(user_id: UUID) -> None:
        for number in range(30):
            post = await ledger.posts.create(user_id, PostCreate(text=f"{number}"))
            if number % 3 == 2:
                await ledger.posts.delete(user_id, post.post_id)
            writing.set()

    def length_at(version: int) -> int:
        """Return how long the list was: of each four changes, the fourth takes back what the third added."""
        return version // 4 * 2 + version % 4

    async def read(user_id: UUID) -> int:
        await writing.wait()
        reads = 0
        while not is_written.is_set() or not reads:
            parts = [part async for part in ledger.queries.page_in_parts(user_id, None, None)]
            assert {part.version for part in parts} == {parts[0].version}
            assert sum(len(part.posts) for part in parts) == length_at(parts[0].version)
            exported = await rest_of(ledger.exports.lines(user_id, None))
            assert [line.kind for line in exported].count(None) - 1 == length_at(exported[0].entry.version)
            reads += 1
        return reads

    readers = [asyncio.create_task(read(user_id)) for user_id in users]
    await asyncio.gather(*map(write, users))
    is_written.set()

    assert all(await asyncio.gather(*readers))
    for user_id in users:
        assert [event.version for event in await ledger.stored(user_id)] == list(range(1, 41))


async def test_who_leaves_in_the_middle_of_a_transaction_leaves_nothing_behind(ledger: Ledger) -> None:
    user_id = await ledger.add_user()
    holds = asyncio.Event()

    async def write_and_wait() -> None:
        async with ledger.database.writer.begin() as connection:
            await connection.execute(update(User).values(timeline_version=9))
            holds.set()
            await asyncio.Event().wait()

    writer = asyncio.create_task(write_and_wait())
    await holds.wait()
    waiting = asyncio.create_task(ledger.version(user_id))
    await asyncio.sleep(0)
    writer.cancel()
    waiting.cancel()
    await asyncio.wait({writer, waiting})

    assert await ledger.version(user_id) == 0


async def test_who_leaves_during_a_statement_leaves_nothing_behind(ledger: Ledger) -> None:
    user_id = await add_owner_of_everything(ledger)
    statement = update(User).values(timeline_version=9)

    async def write() -> None:
        async with ledger.database.writer.begin() as connection:
            await connection.execute(statement)
            await connection.execute(text("SELECT 1"))
            raise AssertionError

    async def read_in_parts() -> None:
        await rest_of(ledger.exports.lines(user_id, None))
        raise AssertionError

    # After each number of steps of the event loop, so that each place is met at which it can be left.
    for steps in range(40):
        tasks = [asyncio.create_task(each) for each in (write(), read_in_parts(), ledger.version(user_id))]
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

        async with asyncio.timeout(30):
            assert await ledger.version(user_id) == 7
            assert len(await rest_of(ledger.queries.page_in_parts(user_id, None, None))) > 1


async def test_a_copy_that_comes_too_late_is_nobody_elses(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = await add_owner_of_everything(ledger), await ledger.add_user()
    is_copying, may_copy = Event(), Event()

    def copy_slowly(*args: Any) -> sqlite3.Connection:
        is_copying.set()
        may_copy.wait(60)
        return copy_owned(*args)

    monkeypatch.setattr(sqlite_memory, "copy_owned", copy_slowly)
    async with ledger.database.snapshot(first) as connection:
        await connection.execute(text("SELECT 1"))
        writer = asyncio.create_task(set_version(ledger.database, 9))
        await asyncio.to_thread(is_copying.wait, 60)
        writer.cancel()
        await asyncio.wait({writer})
    # The pool gives it what the first one had.
    async with aclosing(ledger.exports.lines(second, None)) as lines:
        reading = asyncio.create_task(rest_of(lines))
        await asyncio.sleep(0)
        may_copy.set()
        exported = await reading

    assert exported[0].entry.user_id == second
    assert len(exported) == 2


async def test_a_copy_that_can_not_be_made_fails_who_reads_and_not_who_writes(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id = await add_owner_of_everything(ledger)

    def fail(*_: Any) -> sqlite3.Connection:
        raise MemoryError

    monkeypatch.setattr(sqlite_memory, "copy_owned", fail)
    async with aclosing(ledger.exports.lines(user_id, None)) as lines:
        await anext(lines)
        await set_version(ledger.database, 9)
        with pytest.raises(OperationalError):
            await rest_of(lines)

    assert await ledger.version(user_id) == 9


async def test_who_waits_too_long_for_a_transaction_is_told_as_of_a_locked_file(database_url: Any) -> None:
    database = Database(database_url, pool_size=2, answer_seconds=1)
    async with database.writer.begin() as connection:
        await connection.execute(text("SELECT 1"))
        with pytest.raises(OperationalError, match="database is locked"):
            await database.ping()

    await database.ping()
    await database.close()


async def test_it_begins_empty_after_it_was_closed(database: Database) -> None:
    async with database.writer.begin() as connection:
        await connection.execute(text("CREATE TABLE left_over (id INTEGER)"))
    await database.close()

    async with database.reading() as connection:
        assert (await connection.execute(text("SELECT * FROM sqlite_master"))).all() == []


async def test_large_sorts_stay_in_memory(database: Database) -> None:
    async with database.reading() as connection:
        assert await connection.scalar(text("PRAGMA temp_store")) == 2
        assert await connection.scalar(text("PRAGMA foreign_keys")) == 1
