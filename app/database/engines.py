"""Engines and connections, with what each database needs."""

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

from app.database.driver_pool import DriverPool
from app.database.mysql_driver import RECYCLE_SECONDS, TRUSTED_SECONDS, mysql_arguments

Columns = TypeVarTuple("Columns")

_SNAPSHOTS_AT_ONCE = 8
_PATIENCE_SECONDS = 10


class PoolUsage(NamedTuple):
    """How many connections of a pool are in use, and how many there may be, at the moment of each call."""

    name: str
    in_use: Callable[[], int]
    limit: Callable[[], int]


class Database:
    """One database through pools: for reads, for transactions that write, for long looks at one snapshot, for locks.

    A read is a single statement on a connection in autocommit, which is one round trip and one snapshot. A writing
    transaction is opened by `writing`; on SQLite, which has one writer at a time, the writers queue here. What takes as
    long as a client likes is read by `snapshot`, so that slow clients can keep connections from each other only.

    A connection on which a statement is not answered within `answer_seconds` counts as lost. A free connection is
    waited for as long, a lock a little less. Without them, a statement may take as long as it likes, as migrations do.
    Each holder of locks has a connection of its own: there may be `max_locks`.
    """

    def __init__(self, url: URL, *, pool_size: int, answer_seconds: float | None = None, max_locks: int = 8) -> None:
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        options: dict[str, Any] = {
            # Errors would otherwise carry the statement's parameters, post texts among them, into the log.
            "hide_parameters": True,
            "pool_size": pool_size,
            "max_overflow": 0,
            "pool_timeout": answer_seconds or _PATIENCE_SECONDS,
            # The connection used last is used next: large answers pass through few connections' buffers.
            "pool_use_lifo": True,
            # Whoever leaves a transaction ends it, so that there is nothing to roll back once more.
            "pool_reset_on_return": None,
        }
        self.driver_pool = None if self.is_sqlite else DriverPool(url, answer_seconds or _PATIENCE_SECONDS)
        if not self.is_sqlite:
            options |= {"pool_recycle": RECYCLE_SECONDS, "connect_args": mysql_arguments(answer_seconds)}
        self.lock_engine = create_async_engine(url, isolation_level="AUTOCOMMIT", **options | {"pool_size": max_locks})
        self.reader = create_async_engine(url, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True, **options)
        if self.is_sqlite:
            self.writer = create_async_engine(url, **options | {"pool_size": 1})
            self.snapshots = create_async_engine(url, **options | {"pool_size": _SNAPSHOTS_AT_ONCE})
            for engine in self.engines.values():
                event.listen(engine.sync_engine, "do_connect", partial(_create_for_owner, Path(url.database or "")))
                event.listen(
                    engine.sync_engine,
                    "connect",
                    partial(_prepare_sqlite_connection, answer_seconds or _PATIENCE_SECONDS),
                )
            event.listen(self.writer.sync_engine, "begin", _begin_immediate)
            event.listen(self.snapshots.sync_engine, "begin", _begin)
        else:
            # A writer locks the user's row before it reads, and must then see what was committed while it waited.
            self.writer = create_async_engine(url, isolation_level="READ COMMITTED", **options)
            self.snapshots = create_async_engine(
                url, isolation_level="REPEATABLE READ", **options | {"pool_size": _SNAPSHOTS_AT_ONCE}
            )
            for engine in self.engines.values():
                event.listen(engine.sync_engine, "checkin", _note_time)
                event.listen(engine.sync_engine, "checkout", partial(_ping_unless_recent, engine.dialect))
                event.listen(engine.sync_engine, "handle_error", _forget_what_was_written)

    def create_folder(self) -> None:
        """Make the folder that a SQLite file lies in, for its owner only.

        Raises:
            OSError: It can't be made.
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

        # In one switch to SQLAlchemy's side of asyncio, where `reading` takes three.
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
        """Yield those of the names that no other process has locked in this database; they are locked meanwhile.

        The server releases them however the process ends, or its connection is lost. On SQLite, which has one process,
        they are all free.

        Raises:
            sqlalchemy.exc.TimeoutError, DBAPIError: No connection came free in time, or it is lost.
        """
        wanted = list(names)
        if self.is_sqlite:
            yield wanted
            return
        # Hashed, because a lock's name is the whole server's and has at most 64 characters.
        locks = [hashlib.sha256(f"{self.url.database}:{name}".encode()).hexdigest() for name in wanted]
        async with self.lock_engine.connect() as connection:
            answers = (await connection.execute(select(*(func.get_lock(lock, 0) for lock in locks)))).one()
            try:
                yield [name for name, answer in zip(wanted, answers, strict=True) if answer]
            finally:
                await connection.execute(text("DO RELEASE_ALL_LOCKS()"))

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """Yield a session in a transaction, which is rolled back unless it was committed."""
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
    # A ping before each use would cost as much as the query. What was used a moment ago is there as a rule; where it
    # is not, the request that finds out fails, and all connections are made anew.
    if monotonic() - record.info.get("returned_at", 0) < TRUSTED_SECONDS:
        return
    try:
        dialect.do_ping(dbapi_connection)
    except (dialect.loaded_dbapi.Error, OSError) as error:
        # The others were made before it, so none of them is asked: each is made anew when it is next used.
        raise InvalidatePoolError from error


def _forget_what_was_written(context: ExceptionContext) -> None:
    # The server's message quotes it, and would carry posts and addresses into the log; its number stays.
    error = context.sqlalchemy_exception
    if context.parameters and error is not None and error.orig is not None:
        error.orig.args = error.orig.args[:1]
        error.args = (str(error.orig),)


def _create_for_owner(path: Path, *_: object) -> None:
    # SQLite would let everybody read it. Its log gets the same mode; where there can be no file, SQLite says why.
    with suppress(OSError):
        path.touch(mode=0o600, exist_ok=False)


def _prepare_sqlite_connection(lock_seconds: float, dbapi_connection: Any, _record: object) -> None:
    # The driver would begin a transaction of its own before a write, and never one for a read; `begin` below does.
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
