"""Everything about a user, as `GET /me/export` and `litestar posts export` stream it."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import Select, inspect, select, true
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel, col

from app.database.engines import Database
from app.errors import Unauthenticated
from app.quotas import Quotas
from app.storage.policy import ListPolicy
from app.storage.post_lists import PostLists
from app.storage.queries import DELIVERY_COLUMNS, read_personal_token, read_row, user_read, user_statement
from app.storage.sessions import is_log_in, is_personal_token
from models import (
    EXPORTED,
    ExportedUser,
    ExportEnd,
    PersonalTokenRead,
    PostItem,
    SessionRead,
    User,
    WebhookDelivery,
    WebhookDeliveryExport,
    WebhookRead,
)

# Both stand in one table.
_KINDS = {SessionRead: is_log_in(), PersonalTokenRead: is_personal_token()}


class ExportLine(NamedTuple):
    """One line of an export. `kind` is the name that wraps the entry; the user and the posts have none."""

    kind: str | None
    entry: SQLModel | PostItem


class ExportQueries:
    """Reads everything about a user from one snapshot, a few rows at a time."""

    def __init__(self, database: Database, policy: ListPolicy, quotas: Quotas) -> None:
        self._database = database
        self._quotas = quotas
        self._policy = policy
        self._lists = PostLists(database, policy)

    async def encoded(self, user_id: UUID, current_session_id: UUID | None = None) -> AsyncGenerator[bytes]:
        """Yield the lines as JSON (NDJSON), and at last one that counts and hashes them.

        Raises:
            Unauthenticated: There is no such user.
        """
        count, digest = 0, sha256()
        # Closed here, and so the snapshot is given back, also if the client has left.
        async with aclosing(self.lines(user_id, current_session_id)) as lines:
            async for line in lines:
                encoded = _encode(line)
                count += 1
                digest.update(encoded)
                yield encoded
        yield _encode(ExportLine("end", ExportEnd(lines=count, sha256=digest.hexdigest())))

    async def lines(self, user_id: UUID, current_session_id: UUID | None) -> AsyncGenerator[ExportLine]:
        """Yield the user, their posts, oldest first, and what else they own, newest first (`models.EXPORTED`).

        Each webhook is followed by its deliveries, oldest first.

        Raises:
            Unauthenticated: There is no such user.
        """
        async with self._database.snapshot(user_id) as connection:
            row = (await connection.execute(_exported_user(user_id))).one_or_none()
            if row is None:
                raise Unauthenticated
            user = user_read(row, self._quotas)
            yield ExportLine(None, ExportedUser.model_construct(**dict(user), version=row.version))
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
            .where(columns["user_id"] == user_id, _KINDS.get(read, true()))
            .order_by(columns["id"].desc())
            .limit(self._policy.exported_rows_per_statement)
        )
        following = statement
        while rows := (await connection.execute(following)).all():
            for row in rows:
                yield read_personal_token(row) if read is PersonalTokenRead else read_row(read, row)
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
                yield read_row(WebhookDeliveryExport, row)
            following = statement.where(version > rows[-1].version)


def _exported_user(user_id: UUID) -> Select[*tuple[Any, ...]]:
    return user_statement(user_id).add_columns(col(User.timeline_version).label("version"))


def _encode(line: ExportLine) -> bytes:
    entry = line.entry if isinstance(line.entry, PostItem) else line.entry.model_dump(mode="json")
    return msgspec.json.encode(entry if line.kind is None else {line.kind: entry}) + b"\n"
