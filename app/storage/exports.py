"""Everything about a user, as `GET /me/export` streams it."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import inspect, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel, col

from app.database.engines import Database
from app.errors import Unauthenticated
from app.storage.policy import ListPolicy
from app.storage.post_lists import PostLists
from app.storage.queries import DELIVERY_COLUMNS, user_statement
from models import (
    EXPORTED,
    PostItem,
    SessionRead,
    UserRead,
    WebhookDelivery,
    WebhookDeliveryExport,
    WebhookRead,
)


class ExportLine(NamedTuple):
    """One line of an export. `kind` is the name that wraps the entry; the user and the posts have none."""

    kind: str | None
    entry: SQLModel | PostItem


class ExportQueries:
    """Reads everything about a user from one snapshot, a few rows at a time."""

    def __init__(self, database: Database, policy: ListPolicy) -> None:
        self._database = database
        self._policy = policy
        self._lists = PostLists(database, policy)

    async def lines(self, user_id: UUID, current_session_id: UUID) -> AsyncIterator[ExportLine]:
        """Yield the user, their posts, oldest first, and what else they own, newest first (`models.EXPORTED`).

        Each webhook is followed by its deliveries, oldest first.

        Raises:
            Unauthenticated: There is no such user.
        """
        async with self._database.snapshot() as connection:
            row = (await connection.execute(user_statement(user_id))).one_or_none()
            if row is None:
                raise Unauthenticated
            yield ExportLine(None, UserRead.model_validate(row))
            async for posts in self._lists.oldest_first(connection, user_id):
                for post in posts:
                    yield ExportLine(None, post)
            for kind, (table, read) in EXPORTED.items():
                async for entry in self._owned(connection, table, read, user_id):
                    if isinstance(entry, SessionRead):
                        entry.is_current = entry.id == current_session_id
                    yield ExportLine(kind, entry)
                    if isinstance(entry, WebhookRead):
                        async for delivery in self._deliveries(connection, entry.id):
                            yield ExportLine("webhook_delivery", delivery)

    async def _owned(
        self, connection: AsyncConnection, table: type[SQLModel], read: type[SQLModel], user_id: UUID
    ) -> AsyncIterator[SQLModel]:
        columns = inspect(table).columns
        shown = [columns[name] for name in read.model_fields if name in columns]
        statement = (
            select(*shown, columns["id"].label("row_id"))
            .where(columns["user_id"] == user_id)
            .order_by(columns["id"].desc())
            .limit(self._policy.exported_rows_per_statement)
        )
        following = statement
        while rows := (await connection.execute(following)).all():
            for row in rows:
                yield read.model_validate(row)
            following = statement.where(columns["id"] < rows[-1].row_id)

    async def _deliveries(self, connection: AsyncConnection, webhook_id: UUID) -> AsyncIterator[WebhookDeliveryExport]:
        version = col(WebhookDelivery.version)
        statement = (
            select(*DELIVERY_COLUMNS, col(WebhookDelivery.webhook_id))
            .where(col(WebhookDelivery.webhook_id) == webhook_id)
            .order_by(version)
            .limit(self._policy.exported_rows_per_statement)
        )
        following: Any = statement
        while rows := (await connection.execute(following)).all():
            for row in rows:
                yield WebhookDeliveryExport.model_validate(row)
            following = statement.where(version > rows[-1].version)
