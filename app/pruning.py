"""Removes what has outlived its use, in small batches, on one process at a time."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from itertools import accumulate
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, exists, false, inspect, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel, col

from app.database import Database
from events.waiting import happens
from models import DeadLetter, DeliveryStatus, Erasure, IdempotencyKey, Session, StoredEvent, User, WebhookDelivery
from models.columns import now
from models.erasure import OWNED

logger = logging.getLogger(__name__)

# What one transaction removes at most; a single post may be larger.
_BATCH = 500
_BATCH_BYTES = 16 * 1024 * 1024
_DELIVERY_LIFETIME = timedelta(days=7)


class Pruner:
    """Removes what has outlived its use.

    That is expired sessions, used-up idempotency keys, old deliveries, events older than the history kept, and what is
    left of those who are gone.
    """

    def __init__(self, database: Database, *, event_retention: timedelta, interval: timedelta) -> None:
        self._database = database
        self._interval = interval.total_seconds()
        self._stopping = asyncio.Event()
        self._rules: dict[type[SQLModel], Callable[[], ColumnElement[bool]]] = {
            Session: lambda: col(Session.expires_at) < now(),
            IdempotencyKey: lambda: col(IdempotencyKey.created_at) < now() - IdempotencyKey.lifetime,
            WebhookDelivery: lambda: and_(
                col(WebhookDelivery.created_at) < now() - _DELIVERY_LIFETIME,
                col(WebhookDelivery.status) != DeliveryStatus.PENDING,
            ),
            StoredEvent: lambda: col(StoredEvent.occurred_at) < now() - event_retention,
        }
        self._exceptions: dict[type[SQLModel], ColumnElement[bool]] = {
            # What some durable listener lacks, or can be given again.
            StoredEvent: or_(
                exists().where(col(User.id) == col(StoredEvent.user_id), col(User.undelivered_since).is_not(None)),
                exists().where(
                    col(DeadLetter.user_id) == col(StoredEvent.user_id),
                    col(DeadLetter.version) == col(StoredEvent.version),
                ),
            )
        }

    async def run(self) -> None:
        """Prune again and again until told to stop; a database that is away is tried again the next time."""
        while not await happens(self._stopping, within=self._interval):
            try:
                await self.prune()
            except Exception as error:  # noqa: BLE001 - whatever it was, the next time may go well
                logger.warning("pruning failed and will be tried again: %s", type(error).__name__)

    def stop(self) -> None:
        """Let `run` end."""
        self._stopping.set()

    async def prune(self) -> int:
        """Remove what is due, and return how many rows that were; none where another process is at it."""
        removed = 0
        async with self._database.locked(["prune"]) as locked, self._database.reading() as connection:
            if locked:
                for model, is_due in self._rules.items():
                    removed += await self._remove(connection, model, is_due())
                removed += await self._finish_erasures(connection)
        return removed

    async def _finish_erasures(self, connection: AsyncConnection) -> int:
        removed = 0
        for owner_id in (await connection.execute(select(col(Erasure.owner_id)))).scalars().all():
            for owner, key, size in OWNED:
                removed += await self._remove_owned(connection, owner == owner_id, key, size)
            if self._stopping.is_set():
                break
            async with self._database.writer.begin() as writing:
                await writing.execute(delete(Erasure).where(col(Erasure.owner_id) == owner_id))
        return removed

    async def _remove_owned(
        self, connection: AsyncConnection, is_owned: ColumnElement[bool], key: Any, size: ColumnElement[int]
    ) -> int:
        following = select(key, size.label("size")).where(is_owned).order_by(key).limit(_BATCH)
        due, removed = following, 0
        while not self._stopping.is_set() and (rows := (await connection.execute(due)).all()):
            sizes = accumulate(row.size for row in rows)
            keys = [row[0] for row, so_far in zip(rows, sizes, strict=True) if so_far <= _BATCH_BYTES] or [rows[0][0]]
            async with self._database.writer.begin() as writing:
                await writing.execute(delete(key.class_).where(is_owned, key.between(keys[0], keys[-1])))
            removed += len(keys)
            # Not from the beginning: the database would look again at all that it has removed only by mark.
            due = following.where(key > keys[-1])
        return removed

    async def _remove(self, connection: AsyncConnection, model: type[SQLModel], is_due: ColumnElement[bool]) -> int:
        keys = inspect(model).primary_key
        names = [f"key_{key.name}" for key in keys]
        due = select(*keys).where(is_due, ~self._exceptions.get(model, false())).limit(_BATCH)
        # Asked again of each row: one that was due may have been replaced since.
        statement = delete(model).where(
            *(key == bindparam(name) for key, name in zip(keys, names, strict=True)), is_due
        )
        removed = 0
        while not self._stopping.is_set() and (rows := (await connection.execute(due)).all()):
            async with self._database.writer.begin() as writing:
                await writing.execute(statement, [dict(zip(names, row, strict=True)) for row in rows])
            removed += len(rows)
        return removed
