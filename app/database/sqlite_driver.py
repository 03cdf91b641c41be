"""Connections to SQLite that cross to their thread once for each statement.

aiosqlite crosses four times: for a cursor, to run the statement, to fetch the rows, and to close the cursor. A crossing
takes longer than a small statement does.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Self

import aiosqlite


def connect(*args: Any, **options: Any) -> aiosqlite.Connection:
    """Return a connection, to be awaited, for `sqlite3.connect`'s arguments; SQLAlchemy takes it as its creator."""
    connection = _Connection(lambda: sqlite3.connect(*args, **options), iter_chunk_size=1)
    # As in SQLAlchemy: a connection that was not closed must not keep the process running.
    connection._thread.daemon = True  # noqa: SLF001
    return connection


class _Cursor:
    """The part of a cursor that SQLAlchemy uses."""

    description: Any = None
    rowcount = -1
    lastrowid: int | None = None
    arraysize = 1

    def __init__(self, in_thread: Callable[..., Awaitable[Any]], connection: sqlite3.Connection) -> None:
        self._in_thread = in_thread
        self._connection = connection
        self._rows: list[Any] = []

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, statement: str, parameters: Iterable[Any] = ()) -> None:
        await self._in_thread(self._execute, sqlite3.Cursor.execute, statement, parameters)

    async def executemany(self, statement: str, parameters: Iterable[Iterable[Any]]) -> None:
        await self._in_thread(self._execute, sqlite3.Cursor.executemany, statement, parameters)

    async def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        self._rows = []

    def _execute(self, method: Callable[..., Any], statement: str, parameters: Any) -> None:
        cursor = self._connection.cursor()
        try:
            method(cursor, statement, parameters)
            self._rows = cursor.fetchall() if cursor.description else []
            self.description, self.rowcount, self.lastrowid = cursor.description, cursor.rowcount, cursor.lastrowid
        finally:
            cursor.close()


class _Connection(aiosqlite.Connection):
    """A connection that creates these cursors, and is closed if opening it is cancelled."""

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

    def stop(self) -> asyncio.Future[Any] | None:
        # If closing is cancelled, SQLAlchemy stops the connection a second time. The thread may have ended by then, and
        # the future of that stop would never be done.
        return super().stop() if self._running else None

    def cursor(self) -> Any:
        return _Cursor(self._execute, self._conn)
