"""Removes what has outlived its use, in small batches, on one process at a time."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from sqlalchemy import ColumnElement, bindparam, delete, inspect, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel, col

from app.database import Database
from models import IdempotencyKey, Session, StoredEvent
from models.columns import now

logger = logging.getLogger(__name__)

_BATCH = 500


class Pruner:
    """Removes expired sessions, used-up idempotency keys, and events older than the history that is kept."""

    def __init__(self, database: Database, *, event_retention: timedelta, interval: timedelta) -> None:
        self._database = database
        self._interval = interval
        self._rules: dict[type[SQLModel], Callable[[], ColumnElement[bool]]] = {
            Session: lambda: col(Session.expires_at) < now(),
            IdempotencyKey: lambda: col(IdempotencyKey.created_at) < now() - IdempotencyKey.lifetime,
            StoredEvent: lambda: col(StoredEvent.occurred_at) < now() - event_retention,
        }

    async def run(self) -> None:
        """Prune again and again, until cancelled; a database that is away is tried again the next time."""
        while True:
            await asyncio.sleep(self._interval.total_seconds())
            try:
                await self.prune()
            except Exception as error:  # noqa: BLE001 - whatever it was, the next time may go well
                logger.warning("pruning failed and will be tried again: %s", type(error).__name__)

    async def prune(self) -> int:
        """Remove what is due, and return how many rows that were; none where another process is at it."""
        removed = 0
        async with self._alone() as connection:
            if connection is not None:
                for model, is_due in self._rules.items():
                    removed += await self._remove(connection, model, is_due())
        return removed

    async def _remove(self, connection: AsyncConnection, model: type[SQLModel], is_due: ColumnElement[bool]) -> int:
        keys = inspect(model).primary_key
        names = [f"key_{key.name}" for key in keys]
        due = select(*keys).where(is_due).limit(_BATCH)
        # Asked again of each row: one that was due may have been replaced since.
        statement = delete(model).where(
            *(key == bindparam(name) for key, name in zip(keys, names, strict=True)), is_due
        )
        removed = 0
        while rows := (await connection.execute(due)).all():
            async with self._database.writer.begin() as writing:
                await writing.execute(statement, [dict(zip(names, row, strict=True)) for row in rows])
            removed += len(rows)
        return removed

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[AsyncConnection | None]:
        """Yield a connection to read on, or nothing where another process prunes."""
        async with self._database.reading() as connection:
            if self._database.is_sqlite:
                yield connection
                return
            # Held by this connection, so that the server releases it however the process ends.
            lock = {"name": f"postline-prune:{self._database.url.database}"[:64]}
            if not await connection.scalar(text("SELECT GET_LOCK(:name, 0)"), lock):
                yield None
                return
            try:
                yield connection
            finally:
                await connection.execute(text("DO RELEASE_LOCK(:name)"), lock)
