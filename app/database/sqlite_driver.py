"""Connections to SQLite that cross to their thread once for each statement.

aiosqlite crosses four times: for a cursor, to run the statement, to fetch the rows, and to close the cursor. A crossing
takes longer than a small statement does.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from threading import Thread
from typing import Any, ClassVar, Self

import aiosqlite
from aiosqlite.core import _connection_worker_thread
from typing_extensions import override


def connect(*args: Any, **options: Any) -> "Connection":
    """Return a connection, to be awaited, for `sqlite3.connect`'s arguments; SQLAlchemy takes it as its creator."""
    return Connection(lambda: sqlite3.connect(*args, **options))


def adopt(opened: sqlite3.Connection) -> "Connection":
    """Return a connection around one that is open already, with a thread of its own. It need not be awaited."""
    connection = Connection(lambda: opened)
    connection._connection = opened  # noqa: SLF001
    connection._thread.start()  # noqa: SLF001
    return connection


def _work(calls: Any) -> None:
    # A connection that is stopped without being waited for, as after a failed opening, may outlive its event loop.
    with suppress(RuntimeError):
        _connection_worker_thread(calls)


class Cursor:
    """The part of a cursor that SQLAlchemy uses.

    `connection` is a `Connection`, or an object with the same `sqlite` and `run`.
    """

    description: Any = None
    rowcount = -1
    lastrowid: int | None = None
    arraysize = 1

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._rows: list[Any] = []

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, statement: str, parameters: Iterable[Any] = ()) -> None:
        """Run the statement, and hold all of its rows."""
        await self._connection.run(self._execute, sqlite3.Cursor.execute, statement, parameters)

    async def executemany(self, statement: str, parameters: Iterable[Iterable[Any]]) -> None:
        """Run the statement once for each of the parameters."""
        await self._connection.run(self._execute, sqlite3.Cursor.executemany, statement, parameters)

    async def fetchall(self) -> list[Any]:
        """Return the rows that are held."""
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Drop the rows that are held."""
        self._rows = []

    def _execute(self, method: Callable[..., Any], statement: str, parameters: Any) -> None:
        cursor = self._connection.sqlite.cursor()
        try:
            method(cursor, statement, parameters)
            self._rows = cursor.fetchall() if cursor.description else []
            self.description, self.rowcount, self.lastrowid = cursor.description, cursor.rowcount, cursor.lastrowid
        finally:
            cursor.close()


class Connection(aiosqlite.Connection):
    """A connection that creates these cursors, and is closed if opening it is cancelled."""

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=1)
        # As in SQLAlchemy: a connection that was not closed must not keep the process running.
        self._thread = Thread(target=_work, args=(self._tx,), daemon=True)

    @property
    def sqlite(self) -> sqlite3.Connection:
        """The connection itself, for its thread."""
        return self._conn

    # Not a method that awaits the other one, which would cost each statement a coroutine more.
    run: ClassVar[Callable[..., Awaitable[Any]]] = aiosqlite.Connection._execute  # noqa: SLF001

    def roll_back_later(self) -> None:
        """Let the thread roll back after what it has to do already, and return at once."""
        self._tx.put_nowait((None, self._conn.rollback))

    async def _connect(self) -> Self:
        opening = asyncio.ensure_future(super()._connect())
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._close_unless_failed)
            raise
        return self

    def _close_unless_failed(self, opening: asyncio.Future[aiosqlite.Connection]) -> None:
        if opening.exception() is None:
            self.stop()

    @override
    def stop(self) -> asyncio.Future[Any] | None:
        # If closing is cancelled, SQLAlchemy stops the connection a second time. The thread may have ended by then, and
        # the future of that stop would never be done.
        return super().stop() if self._running else None

    @override
    def cursor(self) -> Any:
        return Cursor(self)
