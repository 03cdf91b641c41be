"""Connection pools, one for each purpose, with the settings that each database needs."""

import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple, TypeVarTuple, cast
from uuid import UUID

from sqlalchemy import URL, Connection, Dialect, ExceptionContext, Row, Select, event, func, select, text
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry, QueuePool
from sqlalchemy.util import greenlet_spawn
from sqlmodel.ext.asyncio.session import AsyncSession

from app.database import sqlite_driver
from app.database.driver_pool import DriverPool
from app.database.faults import FileReplaced
from app.database.mysql_driver import RECYCLE_SECONDS, TRUSTED_SECONDS, mysql_arguments
from app.database.sqlite_file import ServedFile, existing_file
from app.database.sqlite_memory import InMemorySQLite
from app.database.urls import is_in_memory
from app.errors import ConfigurationError
from app.shares import Turns

Columns = TypeVarTuple("Columns")

MAX_SNAPSHOTS = 8
_SNAPSHOTS_PER_OWNER = 2
_MAX_WAITING_FOR_SNAPSHOTS = 64
_MAX_WAITING_READS = 1000
_DEFAULT_TIMEOUT_SECONDS = 10


class PoolUsage(NamedTuple):
    """A pool's name, and functions that return how many connections are in use and how many there may be."""

    name: str
    in_use: Callable[[], int]
    limit: Callable[[], int]


class Database:
    """One database, through a connection pool for each purpose: reads, writes, snapshots and advisory locks.

    - A read is a single statement in autocommit: one round trip and one snapshot.
    - A write is a transaction, opened by `writing`. SQLite has one writer at a time, so writers queue for it here.
    - A snapshot serves answers that are read in parts. Its pool is separate, because that takes longer.
    - Each holder of advisory locks has a connection of its own, at most `max_locks`.

    If a statement is not answered within `answer_seconds`, its connection is closed. The timeout for a free connection
    is the same, the one for a row lock a second shorter. Without `answer_seconds`, as for migrations, a statement may
    take any time.

    `read_turns` and `snapshot_turns` leave one owner no more than a share of those connections.
    """

    def __init__(self, url: URL, *, pool_size: int, answer_seconds: float | None = None, max_locks: int = 8) -> None:
        timeout = answer_seconds or _DEFAULT_TIMEOUT_SECONDS
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.is_in_memory = is_in_memory(url)
        self._served: ServedFile | None = None
        self._memory = InMemorySQLite(timeout) if self.is_in_memory else None
        options: dict[str, Any] = {
            # Errors would otherwise carry the statement's parameters, post texts among them, into the log.
            "hide_parameters": True,
            "poolclass": AsyncAdaptedQueuePool,
            "pool_size": pool_size,
            "max_overflow": 0,
            "pool_timeout": timeout,
            # The connection that was used last is used next, so that few connections grow large buffers.
            "pool_use_lifo": True,
            # Every transaction is ended where it was begun, so a second rollback would only cost a round trip.
            "pool_reset_on_return": None,
        }
        self.read_turns = Turns("reads", per_key=max(1, pool_size // 3), max_waiting=_MAX_WAITING_READS)
        self.snapshot_turns = Turns(
            "snapshots",
            per_key=_SNAPSHOTS_PER_OWNER,
            max_waiting=_MAX_WAITING_FOR_SNAPSHOTS,
            wait_seconds=timeout,
        )
        self.driver_pool = None if self.is_sqlite else DriverPool(url, timeout)
        if self._memory is not None:
            options["connect_args"] = {"async_creator_fn": self._memory.reader}
        elif self.is_sqlite:
            options["connect_args"] = {"async_creator_fn": sqlite_driver.connect}
        else:
            options |= {"pool_recycle": RECYCLE_SECONDS, "connect_args": mysql_arguments(answer_seconds)}
        self.lock_engine = create_async_engine(url, isolation_level="AUTOCOMMIT", **options | {"pool_size": max_locks})
        self.reader = create_async_engine(url, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True, **options)
        if self._memory is not None:
            writer, snapshots = (
                {"async_creator_fn": connect} for connect in (self._memory.writer, self._memory.snapshot)
            )
            self.writer = create_async_engine(url, **options | {"pool_size": 1, "connect_args": writer})
            self.snapshots = create_async_engine(
                url, **options | {"pool_size": MAX_SNAPSHOTS, "connect_args": snapshots}
            )
            event.listen(self.writer.sync_engine, "begin", _begin_immediate)
        elif self.is_sqlite:
            self.writer = create_async_engine(url, **options | {"pool_size": 1})
            self.snapshots = create_async_engine(url, **options | {"pool_size": MAX_SNAPSHOTS})
            for engine in self.engines.values():
                event.listen(engine.sync_engine, "do_connect", self._before_connecting)
                event.listen(engine.sync_engine, "checkout", self._require_file)
                event.listen(
                    engine.sync_engine,
                    "connect",
                    partial(_prepare_sqlite_connection, timeout),
                )
            event.listen(self.writer.sync_engine, "begin", _begin_immediate)
            event.listen(self.writer.sync_engine, "commit", self._commit_to_served_file)
            event.listen(self.snapshots.sync_engine, "begin", _begin)
        else:
            # A writer waits for the lock on the user's row, and must then see what was committed meanwhile.
            self.writer = create_async_engine(url, isolation_level="READ COMMITTED", **options)
            self.snapshots = create_async_engine(
                url, isolation_level="REPEATABLE READ", **options | {"pool_size": MAX_SNAPSHOTS}
            )
            for engine in self.engines.values():
                event.listen(engine.sync_engine, "checkin", _note_time)
                event.listen(engine.sync_engine, "checkout", partial(_ping_unless_recent, engine.dialect))
                event.listen(engine.sync_engine, "handle_error", _remove_quoted_values)

    def create_folder(self) -> None:
        """Create the folder of a SQLite file, readable by its owner only.

        Raises:
            OSError: It can't be created.
        """
        if self.is_sqlite and not self.is_in_memory:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def require_commands(self) -> None:
        """Return if the database can be reached by a command, which is a process of its own.

        Raises:
            ConfigurationError: It is in the memory of the process that serves it.
        """
        if self.is_in_memory:
            raise ConfigurationError(
                "the database is in the memory of the process that serves it, where no command can reach it: set "
                "DATABASE_URL to a SQLite file, or to a MySQL or MariaDB database"
            )

    @property
    def file(self) -> Path:
        """The SQLite file itself, where a link to it leads."""
        return Path(os.path.realpath(self.url.database or ""))

    @contextmanager
    def serving_file(self) -> Iterator[None]:
        """Refuse to use the SQLite file, if there is one, as soon as it is no longer the one that is there now.

        Raises:
            sqlite3.Error, OSError: It can't be opened.
        """
        if self.is_in_memory:
            yield
            return
        with ServedFile(Path(self.url.database or "")) as served:
            self._served = served
            try:
                yield
            finally:
                self._served = None

    def check_file(self) -> None:
        """Return if the SQLite file that this process serves is still there and whole; other databases have none.

        Raises:
            FileReplaced: It is not, so what was written to it may be lost.
        """
        if self._served is not None:
            self._served.check()

    def require_file(self) -> None:
        """Return unless `check_file` failed the last time.

        Raises:
            FileReplaced: It did.
        """
        if self._served is not None:
            self._served.require()

    async def rows(
        self, statement: Select[*Columns], values: Mapping[str, Any] | None = None
    ) -> Sequence[Row[*Columns]]:
        """Return what one statement reads, in one snapshot."""

        def read() -> Sequence[Row[*Columns]]:
            with self.reader.sync_engine.connect() as connection:
                return connection.execute(statement, values).all()

        # One switch into SQLAlchemy's greenlet; with `reading` it would be three.
        return await greenlet_spawn(read)

    async def first(self, statement: Select[*Columns], values: Mapping[str, Any] | None = None) -> Row[*Columns] | None:
        """Return the first row that one statement reads, or `None` if there is none."""
        return next(iter(await self.rows(statement, values)), None)

    async def rows_of(
        self, owner_id: UUID, statement: Select[*Columns], values: Mapping[str, Any] | None = None
    ) -> Sequence[Row[*Columns]]:
        """Return what one statement reads, in one snapshot, when it is the owner's turn.

        Raises:
            TooManyRequests: Too many reads of the owner wait already.
        """
        async with self.read_turns.of(owner_id):
            return await self.rows(statement, values)

    async def first_of(
        self, owner_id: UUID, statement: Select[*Columns], values: Mapping[str, Any] | None = None
    ) -> Row[*Columns] | None:
        """Return the first row of what `rows_of` returns, or `None` if there is none."""
        return next(iter(await self.rows_of(owner_id, statement, values)), None)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection on which each statement is a snapshot of its own."""
        async with self.reader.connect() as connection:
            yield connection

    @asynccontextmanager
    async def snapshot(self, owner_id: UUID) -> AsyncIterator[AsyncConnection]:
        """Yield a connection whose statements all see the database as the first one does, when it is the owner's turn.

        They may read what is the owner's, and nothing else.

        Raises:
            TooManyRequests: The owner's turn did not come in time.
        """
        async with self.snapshot_turns.of(owner_id), self.snapshots.connect() as connection:
            if self._memory is not None:
                handle: Any = (await connection.get_raw_connection()).driver_connection
                handle.owner_id = owner_id
            yield connection

    @asynccontextmanager
    async def locked(self, names: Iterable[str]) -> AsyncIterator[list[str]]:
        """Take advisory locks without waiting, and yield the names of those that were free.

        The server releases them when the process ends in any way or loses its connection. On SQLite, which serves one
        process, all are free.

        Raises:
            sqlalchemy.exc.TimeoutError, DBAPIError: No connection came free in time, or it was lost.
        """
        wanted = list(names)
        if self.is_sqlite:
            yield wanted
            return
        # Hashed, because lock names are shared by all databases of a server and have at most 64 characters.
        locks = [hashlib.sha256(f"{self.url.database}:{name}".encode()).hexdigest() for name in wanted]
        async with self.lock_engine.connect() as connection:
            answers = (await connection.execute(select(*(func.get_lock(lock, 0) for lock in locks)))).one()
            try:
                yield [name for name, answer in zip(wanted, answers, strict=True) if answer]
            finally:
                await connection.execute(text("DO RELEASE_ALL_LOCKS()"))

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """Yield a session in a transaction, which is rolled back unless it is committed."""
        async with AsyncSession(self.writer, expire_on_commit=False) as session:
            yield session

    async def close(self) -> None:
        """Close every connection."""
        for engine in self.engines.values():
            await engine.dispose()
        if self.driver_pool is not None:
            await self.driver_pool.close()
        if self._memory is not None:
            await self._memory.close()

    async def ping(self) -> None:
        """Return if the database answers.

        Raises:
            SQLAlchemyError, OSError: It does not.
        """
        await self.rows(select(1))

    def pools(self) -> list[PoolUsage]:
        """Return how the connections are used, for each purpose."""

        # The pool is looked up for each reading: an engine that closed its connections has a new one.
        def usage(name: str, engine: AsyncEngine) -> PoolUsage:
            def pool() -> QueuePool:
                return cast("QueuePool", engine.pool)

            return PoolUsage(name, in_use=lambda: pool().checkedout(), limit=lambda: pool().size())

        usages = [usage(name, engine) for name, engine in self.engines.items()]
        if (pool := self.driver_pool) is not None:
            usages.append(PoolUsage("timeline", in_use=lambda: pool.in_use, limit=lambda: pool.size))
        return usages

    @property
    def engines(self) -> dict[str, AsyncEngine]:
        """Every engine, by what its connections are for."""
        return {"read": self.reader, "write": self.writer, "snapshot": self.snapshots, "lock": self.lock_engine}

    def _commit_to_served_file(self, connection: Connection) -> None:
        try:
            self.check_file()
        except FileReplaced:
            # SQLAlchemy takes the transaction for ended, whatever is raised here.
            connection.exec_driver_sql("ROLLBACK")
            raise

    def _require_file(self, *_: object) -> None:
        self.require_file()

    def _before_connecting(
        self, _dialect: Dialect, _record: object, arguments: list[Any], options: dict[str, Any]
    ) -> None:
        if self._served is not None:
            # SQLite would open what has taken the file's place, or make a new one.
            self._served.check()
            arguments[0], options["uri"] = existing_file(self.file, "rw"), True
            return
        # SQLite would create it readable by everybody. Its log gets the same mode. If this fails, SQLite reports why.
        with suppress(OSError):
            self.file.touch(mode=0o600, exist_ok=False)


def _note_time(_: object, record: ConnectionPoolEntry) -> None:
    record.info["returned_at"] = monotonic()


def _ping_unless_recent(dialect: Dialect, dbapi_connection: Any, record: ConnectionPoolEntry, _: object) -> None:
    # A ping before each use would cost as much as the query. A connection that was used a moment ago is usually alive.
    # If it is not, the one request that uses it fails, and all connections are replaced.
    if monotonic() - record.info.get("returned_at", 0) < TRUSTED_SECONDS:
        return
    try:
        dialect.do_ping(dbapi_connection)
    except (dialect.loaded_dbapi.Error, OSError) as error:
        # The others are as old, so none of them is pinged: each is replaced when it is next used.
        raise InvalidatePoolError from error


def _remove_quoted_values(context: ExceptionContext) -> None:
    # The server's message quotes values, and would carry posts and addresses into the log. Its number is kept.
    error = context.sqlalchemy_exception
    if context.parameters and error is not None and error.orig is not None:
        error.orig.args = error.orig.args[:1]
        error.args = (str(error.orig),)


def _prepare_sqlite_connection(lock_seconds: float, dbapi_connection: Any, _record: object) -> None:
    # The driver would begin transactions by its own rules: before a write, never before a read. `_begin` does it here.
    dbapi_connection.isolation_level = None
    busy_timeout = f"busy_timeout={lock_seconds * 1000:.0f}"
    try:
        cursor = dbapi_connection.cursor()
        for pragma in (busy_timeout, "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
    except BaseException:
        # SQLAlchemy forgets a connection that could not be prepared, without closing it.
        dbapi_connection.close()
        raise


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_immediate(connection: Connection) -> None:
    # A transaction that starts as a reader and writes later fails with SQLITE_BUSY instead of waiting.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
