import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from app.database import sqlite_driver


async def test_a_connection_that_nobody_waits_for_any_more_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[sqlite3.Connection] = []
    is_wanted = threading.Event()

    def slow_connect(*args: Any, **options: Any) -> sqlite3.Connection:
        is_wanted.wait(5)
        opened.append(connect(*args, **options))
        return opened[0]

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", slow_connect)
    connection = sqlite_driver.connect(tmp_path / "posts.db", check_same_thread=False)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connection, 0.01)
    is_wanted.set()
    await asyncio.to_thread(connection._thread.join, 5)

    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")


async def test_a_connection_that_is_stopped_while_it_closes_is_closed(tmp_path: Path) -> None:
    connection = await sqlite_driver.connect(tmp_path / "posts.db", check_same_thread=False)
    may_go_on = threading.Event()
    working = asyncio.create_task(connection._execute(may_go_on.wait, 5))  # type: ignore[no-untyped-call]
    closing = asyncio.create_task(connection.close())
    await asyncio.sleep(0)

    connection.stop()
    may_go_on.set()

    await asyncio.wait_for(asyncio.gather(working, closing), 2)
    await asyncio.to_thread(connection._thread.join, 5)
    assert not connection._thread.is_alive()


def test_a_connection_that_outlives_its_event_loop_ends_quietly(tmp_path: Path) -> None:
    may_go_on = threading.Event()

    async def stop_without_waiting() -> threading.Thread:
        connection = await sqlite_driver.connect(tmp_path / "posts.db", check_same_thread=False)
        connection._tx.put((None, lambda: may_go_on.wait(60)))
        connection.stop()
        return connection._thread

    thread = asyncio.run(stop_without_waiting())
    may_go_on.set()
    # An exception in a thread is a warning, and so an error.
    thread.join(60)

    assert not thread.is_alive()
