"""What the process does besides answering: it goes on whatever fails, and ends before what it uses is closed."""

import asyncio
import weakref
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

import pytest

from app.auth.passwords import Argon2Passwords
from app.database.engines import Database
from app.server.lifespan import _LIFESPANS_PER_COLLECTION, BackgroundTask, LifespanPolicy, Resource, lifespan
from events.wakeups import Wakeups
from tests.conftest import sqlite_url


class Failing:
    """Work that fails the first time, in a way that nobody expected."""

    def __init__(self) -> None:
        self.began = 0
        self.goes_on = asyncio.Event()
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        self.began += 1
        if self.began == 1:
            raise LookupError("a post's text")
        self.goes_on.set()
        await self.stopping.wait()

    def stop(self) -> None:
        self.stopping.set()


class Hanging:
    """Work that does not hear that it is to stop, and takes a moment to end when it is cancelled."""

    def __init__(self, happened: list[str]) -> None:
        self.happened = happened

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.05)
            self.happened.append("ended")

    def stop(self) -> None:
        pass


class Held:
    """A connection that is closed, and may fail at it."""

    def __init__(self, happened: list[str], failure: Exception | None = None) -> None:
        self.happened = happened
        self.failure = failure

    async def close(self) -> None:
        if self.failure is not None:
            raise self.failure
        self.happened.append("closed")


@pytest.fixture
def database(migrated_sqlite: Path, tmp_path: Path) -> Database:
    path = tmp_path / "test.db"
    path.write_bytes(migrated_sqlite.read_bytes())
    return Database(sqlite_url(path), pool_size=1)


HASTY = LifespanPolicy(restart_delay=0.01, shutdown_timeout=0.2)


def serve(
    database: Database,
    work: Sequence[BackgroundTask],
    resources: Sequence[Resource],
    policy: LifespanPolicy = LifespanPolicy(),  # noqa: B008 - it is frozen
) -> AbstractAsyncContextManager[None]:
    passwords = Argon2Passwords(memory_kib=8, iterations=1, parallelism=1, threads=1, queue_limit=1)
    return lifespan(database, passwords, Wakeups(), work, [*resources, database], policy=policy)


async def test_work_that_fails_unexpectedly_is_begun_again(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Failing()

    async with asyncio.timeout(5), serve(database, [failing], [], HASTY):
        await failing.goes_on.wait()

    assert "Failing failed and is restarted: LookupError" in caplog.text
    assert "text" not in caplog.text


async def test_what_hangs_has_ended_before_connections_are_closed(database: Database) -> None:
    happened: list[str] = []

    async with serve(database, [Hanging(happened)], [Held(happened)], HASTY):
        await asyncio.sleep(0)

    assert happened == ["ended", "closed"]


async def test_a_connection_that_can_not_be_closed_keeps_no_other_open(database: Database) -> None:
    happened: list[str] = []

    async with serve(database, [Failing()], [Held(happened, OSError("gone")), Held(happened)]):
        pass

    assert happened == ["closed"]


async def test_a_process_that_serves_again_and_again_does_not_keep_what_ended(database: Database) -> None:
    ended = []
    for _ in range(2 * _LIFESPANS_PER_COLLECTION):
        work = Failing()
        work.began = 1
        # A cycle, which only the garbage collector can free.
        work.itself = work  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
        ended.append(weakref.ref(work))
        async with serve(database, [work], [], HASTY):
            await work.goes_on.wait()
        del work

    assert sum(each() is not None for each in ended) <= _LIFESPANS_PER_COLLECTION
