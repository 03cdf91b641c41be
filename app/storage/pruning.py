"""Pruning: removes what is past its retention, in small batches, on one process at a time."""

from collections.abc import Callable
from datetime import timedelta
from itertools import accumulate
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, exists, false, inspect, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel, col
from typing_extensions import override

from app.database.engines import Database
from app.periodic import PeriodicTask
from app.storage.policy import RetentionPolicy
from models import (
    DeadLetter,
    DeliveryStatus,
    Erasure,
    IdempotencyKey,
    Invitation,
    Mail,
    Session,
    StoredEvent,
    User,
    Webhook,
    WebhookDelivery,
)
from models.columns import now
from models.erasure import OWNED


class Pruner(PeriodicTask):
    """Removes expired sessions, keys and invitations, old events, deliveries and mails, and erased owners' rows.

    It also forgets secrets of webhooks that do not sign any more.
    """

    def __init__(self, database: Database, *, retention: RetentionPolicy, interval: timedelta) -> None:
        super().__init__("pruning", interval.total_seconds())
        self._database = database
        self._retention = retention
        self._rules: dict[type[SQLModel], Callable[[], ColumnElement[bool]]] = {
            Session: lambda: col(Session.expires_at) < now(),
            IdempotencyKey: lambda: col(IdempotencyKey.created_at) < now() - IdempotencyKey.lifetime,
            WebhookDelivery: lambda: and_(
                col(WebhookDelivery.created_at) < now() - retention.deliveries,
                col(WebhookDelivery.status) != DeliveryStatus.PENDING,
            ),
            Mail: lambda: col(Mail.given_up_at) < now() - retention.mails,
            Invitation: lambda: col(Invitation.expires_at) < now() - retention.invitations,
            StoredEvent: lambda: col(StoredEvent.occurred_at) < now() - retention.events,
        }
        self._exceptions: dict[type[SQLModel], ColumnElement[bool]] = {
            # Events that a durable listener has not taken yet, or that can be replayed from a dead letter.
            StoredEvent: or_(
                exists().where(col(User.id) == col(StoredEvent.user_id), col(User.undelivered_since).is_not(None)),
                exists().where(
                    col(DeadLetter.user_id) == col(StoredEvent.user_id),
                    col(DeadLetter.version) == col(StoredEvent.version),
                ),
            )
        }

    @override
    async def tick(self) -> None:
        await self.prune()

    async def prune(self) -> int:
        """Remove what is due, and return the number of rows. It is 0 while another process prunes."""
        removed = 0
        async with self._database.locked(["prune"]) as locked, self._database.reading() as connection:
            if locked:
                for model, is_due in self._rules.items():
                    removed += await self._remove(connection, model, is_due())
                removed += await self._finish_erasures(connection)
                await self._forget_old_secrets(connection)
        return removed

    async def _forget_old_secrets(self, connection: AsyncConnection) -> None:
        is_over = col(Webhook.previous_secret_until) < now()
        if (await connection.execute(select(col(Webhook.id)).where(is_over).limit(1))).first() is not None:
            async with self._database.writer.begin() as writing:
                await writing.execute(
                    update(Webhook).where(is_over).values(previous_secret=None, previous_secret_until=None)
                )

    async def _finish_erasures(self, connection: AsyncConnection) -> int:
        removed = 0
        for owner_id in (await connection.execute(select(col(Erasure.owner_id)))).scalars().all():
            for owner, key, size in OWNED:
                removed += await self._remove_owned(connection, owner == owner_id, key, size)
            if self.is_stopping:
                break
            async with self._database.writer.begin() as writing:
                await writing.execute(delete(Erasure).where(col(Erasure.owner_id) == owner_id))
        return removed

    async def _remove_owned(
        self, connection: AsyncConnection, is_owned: ColumnElement[bool], key: Any, size: ColumnElement[int]
    ) -> int:
        following = select(key, size.label("size")).where(is_owned).order_by(key).limit(self._retention.batch_rows)
        due, removed = following, 0
        while not self.is_stopping and (rows := (await connection.execute(due)).all()):
            sizes = accumulate(row.size for row in rows)
            keys = [
                row[0] for row, so_far in zip(rows, sizes, strict=True) if so_far <= self._retention.batch_bytes
            ] or [rows[0][0]]
            async with self._database.writer.begin() as writing:
                await writing.execute(delete(key.class_).where(is_owned, key.between(keys[0], keys[-1])))
            removed += len(keys)
            # Not from the beginning, where the database would scan the rows that it has only marked as deleted.
            due = following.where(key > keys[-1])
        return removed

    async def _remove(self, connection: AsyncConnection, model: type[SQLModel], is_due: ColumnElement[bool]) -> int:
        keys = inspect(model).primary_key
        names = [f"key_{key.name}" for key in keys]
        due = select(*keys).where(is_due, ~self._exceptions.get(model, false())).limit(self._retention.batch_rows)
        # The condition is checked again for each row: one that was due may have been replaced since.
        statement = delete(model).where(
            *(key == bindparam(name) for key, name in zip(keys, names, strict=True)), is_due
        )
        removed = 0
        while not self.is_stopping and (rows := (await connection.execute(due)).all()):
            async with self._database.writer.begin() as writing:
                await writing.execute(statement, [dict(zip(names, row, strict=True)) for row in rows])
            removed += len(rows)
        return removed
