"""A SQLite database in this process's memory: one connection, which the service's pools share.

SQLite's own ways of sharing one do not hold what the pools promise: with `cache=shared` a reader sees what is not
committed, or fails with SQLITE_LOCKED, and with `vfs=memdb` a commit waits until the last reader has ended. Here a lock
keeps statements out of a transaction of others, and a snapshot that lasts until somebody writes is set apart: its
owner's rows are copied first. docs/decisions/0037-in-memory-database.md says what that costs.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from typing_extensions import override

from app.database import sqlite_driver
from app.database.sqlite_copy import copy_owned, open_in_memory


class InMemorySQLite:
    """The database, from the first connection on until it is closed: then all of it is gone.

    `reader`, `writer` and `snapshot` return what SQLAlchemy's pools take for connections of their own. A lock is waited
    for `lock_seconds` at most.
    """

    def __init__(self, lock_seconds: float) -> None:
        self.lock_seconds = lock_seconds
        self.snapshots: set[_Snapshot] = set()
        """Those that read from the database itself, and not from a copy."""
        self._opened: tuple[sqlite_driver.Connection, asyncio.Lock] | None = None

    async def reader(self, *_: Any, **__: Any) -> "_Handle":
        """Return a connection for single statements."""
        return _Handle(self, *self._open())

    async def writer(self, *_: Any, **__: Any) -> "_Handle":
        """Return a connection for transactions."""
        return _Writer(self, *self._open())

    async def snapshot(self, *_: Any, **__: Any) -> "_Handle":
        """Return a connection whose statements, until it is rolled back, see the database as the first one does."""
        return _Snapshot(self, *self._open())

    async def close(self) -> None:
        """Drop the database."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened[0].close()

    def _open(self) -> tuple[sqlite_driver.Connection, asyncio.Lock]:
        if self._opened is None:
            self._opened = sqlite_driver.adopt(open_in_memory("foreign_keys=ON")), asyncio.Lock()
        return self._opened


class _Handle:
    """The part of a connection that SQLAlchemy uses. It holds the lock during a statement and during a transaction.

    The connection's thread works through what it is given in order. So the lock may be released as soon as the
    statement, or the rollback, is in its queue.
    """

    def __init__(self, memory: InMemorySQLite, driver: sqlite_driver.Connection, lock: asyncio.Lock) -> None:
        self._memory = memory
        self._driver = driver
        self._lock = lock
        self._holds_lock = False
        # On it SQLAlchemy sets the isolation level of a new connection. On the real one that would commit whatever
        # transaction is open.
        self._conn = SimpleNamespace()

    @property
    def sqlite(self) -> sqlite3.Connection:
        return self._driver.sqlite

    # As the connection has it: nothing but a statement begins a transaction.
    isolation_level = None

    @property
    def _connection(self) -> sqlite3.Connection | None:
        return self._driver._connection  # noqa: SLF001

    @property
    def _tx(self) -> Any:
        return self._driver._tx  # noqa: SLF001

    def cursor(self) -> Any:
        return sqlite_driver.Cursor(self)

    async def create_function(self, *args: Any, **options: Any) -> None:
        await self._driver.create_function(*args, **options)

    async def run(self, function: Callable[..., Any], /, *args: Any) -> Any:
        if not self._holds_lock:
            await self._take_lock()
        try:
            return await self._driver.run(function, *args)
        except asyncio.CancelledError:
            self.stop()
            raise
        finally:
            if self._holds_lock and not self._driver.in_transaction:
                self._release_lock()

    async def commit(self) -> None:
        await self.run(self.sqlite.commit)

    async def rollback(self) -> None:
        await self.run(self.sqlite.rollback)

    async def close(self) -> None:
        self.stop()

    def stop(self) -> None:
        if self._holds_lock:
            self._driver.roll_back_later()
            self._release_lock()

    async def _take_lock(self) -> None:
        try:
            async with asyncio.timeout(self._memory.lock_seconds):
                await self._lock.acquire()
        except TimeoutError:
            # As a file's lock is reported.
            raise sqlite3.OperationalError("database is locked") from None
        self._holds_lock = True

    def _release_lock(self) -> None:
        self._holds_lock = False
        self._lock.release()


class _Writer(_Handle):
    """Sets the snapshots apart before it changes what they see."""

    @override
    async def _take_lock(self) -> None:
        await super()._take_lock()
        try:
            for snapshot in tuple(self._memory.snapshots):
                # A copy that nobody waits for any more is finished, so that it is closed in the end.
                await asyncio.shield(asyncio.ensure_future(snapshot.set_apart()))
        except BaseException:
            self._release_lock()
            raise


class _Snapshot(_Handle):
    """Reads from the database itself until it is set apart, and then from a copy of its owner's rows."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._copy: sqlite_driver.Connection | None = None
        self.owner_id: UUID | None = None
        """Whose rows are read."""
        self._ended = 0

    @property
    @override
    def sqlite(self) -> sqlite3.Connection:
        return (self._copy or self._driver).sqlite

    @override
    async def run(self, function: Callable[..., Any], /, *args: Any) -> Any:
        if self._copy is None:
            await self._take_lock()
            if self._copy is None:
                self._memory.snapshots.add(self)
                return await super().run(function, *args)
            # Somebody wrote while this waited.
            self._release_lock()
        return await self._copy.run(function, *args)

    async def set_apart(self) -> None:
        """Copy the owner's rows, and read from there. The lock is the caller's meanwhile."""
        ended = self._ended
        try:
            copied = await self._driver.run(copy_owned, self._driver.sqlite, self.owner_id)
        except (MemoryError, sqlite3.Error):
            # Who reads fails, for want of any table, and not who writes.
            copied = open_in_memory()
        copy = sqlite_driver.adopt(copied)
        if self._ended == ended and self._copy is None:
            self._memory.snapshots.discard(self)
            self._copy = copy
        else:
            # It is too late: a second writer made one, or the next snapshot on this handle is another owner's.
            await copy.close()

    @override
    async def commit(self) -> None:
        await self.rollback()

    @override
    async def rollback(self) -> None:
        copy = self._end()
        if copy is not None:
            await copy.close()

    @override
    def stop(self) -> None:
        super().stop()
        copy = self._end()
        if copy is not None:
            copy.stop()

    def _end(self) -> sqlite_driver.Connection | None:
        self._ended += 1
        self._memory.snapshots.discard(self)
        copy, self._copy = self._copy, None
        return copy
