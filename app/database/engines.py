"""Connection pools, one for each purpose, with the settings that each database needs."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple, TypeVarTuple, cast

from sqlalchemy import URL, Connection, Dialect, ExceptionContext, Row, Select, event, func, select, text
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool
from sqlalchemy.util import greenlet_spawn
from sqlmodel.ext.asyncio.session import AsyncSession

from app.database import sqlite_driver
from app.database.driver_pool import DriverPool
from app.database.mysql_driver import RECYCLE_SECONDS, TRUSTED_SECONDS, mysql_arguments

Columns = TypeVarTuple("Columns")

_MAX_SNAPSHOTS = 8
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
    - A snapshot serves answers that are read for as long as a client takes them. Its pool is separate, so slow clients
      can only take connections from each other.
    - Each holder of advisory locks has a connection of its own, at most `max_locks`.

    If a statement is not answered within `answer_seconds`, its connection is closed. The timeout for a free connection
    is the same, the one for a row lock a second shorter. Without `answer_seconds`, as for migrations, a statement may
    take any time.
    """

    def __init__(self, url: URL, *, pool_size: int, answer_seconds: float | None = None, max_locks: int = 8) -> None:
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        options: dict[str, Any] = {
            # Errors would otherwise carry the statement's parameters, post texts among them, into the log.
            "hide_parameters": True,
            "pool_size": pool_size,
            "max_overflow": 0,
            "pool_timeout": answer_seconds or _DEFAULT_TIMEOUT_SECONDS,
            # The connection that was used last is used next, so that few connections grow large buffers.
            "pool_use_lifo": True,
            # Every transaction is ended where it was begun, so a second rollback would only cost a round trip.
            "pool_reset_on_return": None,
        }
        self.driver_pool = None if self.is_sqlite else DriverPool(url, answer_seconds or _DEFAULT_TIMEOUT_SECONDS)
        if self.is_sqlite:
            options["connect_args"] = {"async_creator_fn": sqlite_driver.connect}
        else:
            options |= {"pool_recycle": RECYCLE_SECONDS, "connect_args": mysql_arguments(answer_seconds)}
        self.lock_engine = create_async_engine(url, isolation_level="AUTOCOMMIT", **options | {"pool_size": max_locks})
        self.reader = create_async_engine(url, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True, **options)
        if self.is_sqlite:
            self.writer = create_async_engine(url, **options | {"pool_size": 1})
            self.snapshots = create_async_engine(url, **options | {"pool_size": _MAX_SNAPSHOTS})
            for engine in self.engines.values():
                event.listen(engine.sync_engine, "do_connect", partial(_create_private_file, Path(url.database or "")))
                event.listen(
                    engine.sync_engine,
                    "connect",
                    partial(_prepare_sqlite_connection, answer_seconds or _DEFAULT_TIMEOUT_SECONDS),
                )
            event.listen(self.writer.sync_engine, "begin", _begin_immediate)
            event.listen(self.snapshots.sync_engine, "begin", _begin)
        else:
            # A writer waits for the lock on the user's row, and must then see what was committed meanwhile.
            self.writer = create_async_engine(url, isolation_level="READ COMMITTED", **options)
            self.snapshots = create_async_engine(
                url, isolation_level="REPEATABLE READ", **options | {"pool_size": _MAX_SNAPSHOTS}
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
        if self.is_sqlite and self.url.database:
            Path(self.url.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)

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

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection on which each statement is a snapshot of its own."""
        async with self.reader.connect() as connection:
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection whose statements all see the database as the first one does."""
        async with self.snapshots.connect() as connection:
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


def _create_private_file(path: Path, *_: object) -> None:
    # SQLite would create it readable by everybody. Its log gets the same mode. If this fails, SQLite reports why.
    with suppress(OSError):
        path.touch(mode=0o600, exist_ok=False)


def _prepare_sqlite_connection(lock_seconds: float, dbapi_connection: Any, _record: object) -> None:
    # The driver would begin transactions by its own rules: before a write, never before a read. `_begin` does it here.
    dbapi_connection.isolation_level = None
    cursor = dbapi_connection.cursor()
    busy_timeout = f"busy_timeout={lock_seconds * 1000:.0f}"
    for pragma in (busy_timeout, "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_immediate(connection: Connection) -> None:
    # A transaction that starts as a reader and writes later fails with SQLITE_BUSY instead of waiting.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
