"""The questions that no transaction asks, always scoped to an owner. See `app.ports.reads` for what each promises."""

from collections.abc import AsyncIterator, Collection
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, func, select
from sqlmodel import col

from app import post_lists
from app.batching import Batching
from app.database import Database
from app.errors import NotFound, Unauthenticated
from app.ports.reads import Exported, Page, StoredPassword
from app.small_lists import LISTS_AT_ONCE, small_lists
from events.types import PostEvent, decode
from models import (
    Post,
    PostRead,
    Session,
    SessionRead,
    StoredEvent,
    User,
    UserRead,
    Webhook,
    WebhookDelivery,
    WebhookDeliveryExport,
    WebhookDeliveryRead,
    WebhookRead,
)

_DELIVERIES_AT_A_TIME = 500
_DELIVERY_COLUMNS: list[Any] = [
    *(col(getattr(WebhookDelivery, name)) for name in WebhookDeliveryRead.model_fields if name != "postID"),
    col(WebhookDelivery.post_id).label("postID"),
]


class DatabaseReads:
    """The port `Reads`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._small_lists = Batching[UUID, Page | None](partial(small_lists, database), largest=LISTS_AT_ONCE)

    async def page(self, owner_id: UUID, limit: int | None, before: int | None) -> Page | None:
        """See `Reads.page`."""
        is_whole = limit is None and before is None
        if is_whole and (small := await self._small_lists(owner_id)) is not None:
            return small
        return await post_lists.page(self._database, owner_id, limit, before)

    async def page_in_parts(self, owner_id: UUID, limit: int | None, before: int | None) -> AsyncIterator[Page]:
        """See `Reads.page_in_parts`."""
        async with self._database.snapshot() as connection:
            version, next_cursor = await post_lists.bounds(connection, owner_id, limit, before)
            yield Page(version, [], next_cursor)
            async for posts in post_lists.newest_first(connection, owner_id, limit, before):
                yield Page(version, posts, next_cursor)

    async def post(self, owner_id: UUID, post_id: UUID) -> PostRead:
        """See `Reads.post`."""
        statement = select(*post_lists.COLUMNS).where(col(Post.id) == post_id, col(Post.user_id) == owner_id)
        row = next(iter(await self._database.rows(statement)), None)
        if row is None:
            raise NotFound(f"There is no post {post_id}.")
        return _post_read(row)

    async def everything(self, user_id: UUID) -> AsyncIterator[Exported]:
        """See `Reads.everything`."""
        async with self._database.snapshot() as connection:
            row = (await connection.execute(_user(user_id))).one_or_none()
            if row is None:
                raise Unauthenticated
            yield UserRead.model_validate(row)
            async for posts in post_lists.oldest_first(connection, user_id):
                for post in posts:
                    yield post
            for row in (await connection.execute(_sessions(user_id))).all():
                yield SessionRead.model_validate(row)
            for row in (await connection.execute(_webhooks(user_id))).all():
                yield WebhookRead.model_validate(row)
                after = 0
                while deliveries := (await connection.execute(_deliveries_after(row.id, after))).all():
                    for delivery in deliveries:
                        yield WebhookDeliveryExport.model_validate(delivery)
                    after = deliveries[-1].version

    async def events_after(self, user_id: UUID, version: int, limit: int) -> list[PostEvent]:
        """See `Reads.events_after`."""
        statement = (
            select(col(StoredEvent.payload))
            .where(col(StoredEvent.user_id) == user_id, col(StoredEvent.version) > version)
            .order_by(col(StoredEvent.version))
            .limit(limit)
        )
        return [decode(payload) for (payload,) in await self._database.rows(statement)]

    async def sessions(self, user_id: UUID, at: datetime) -> list[SessionRead]:
        """See `Reads.sessions`."""
        rows = await self._database.rows(_sessions(user_id).where(col(Session.expires_at) > at))
        return [SessionRead.model_validate(row) for row in rows]

    async def webhook_owners(self, user_ids: Collection[UUID]) -> Collection[UUID]:
        """See `Reads.webhook_owners`."""
        statement = select(col(Webhook.user_id)).where(
            col(Webhook.user_id).in_(user_ids), col(Webhook.disabled_at).is_(None)
        )
        return {user_id for (user_id,) in await self._database.rows(statement)}

    async def webhooks(self, owner_id: UUID) -> list[WebhookRead]:
        """See `Reads.webhooks`."""
        rows = await self._database.rows(_webhooks(owner_id))
        return [WebhookRead.model_validate(row) for row in rows]

    async def webhook_deliveries(self, owner_id: UUID, webhook_id: UUID, limit: int) -> list[WebhookDeliveryRead]:
        """See `Reads.webhook_deliveries`."""
        # Joined from the webhook, so that one statement tells none from one that was told nothing yet.
        statement = (
            select(*_DELIVERY_COLUMNS)
            .select_from(Webhook)
            .outerjoin(WebhookDelivery, col(WebhookDelivery.webhook_id) == col(Webhook.id))
            .where(col(Webhook.id) == webhook_id, col(Webhook.user_id) == owner_id)
            .order_by(col(WebhookDelivery.version).desc())
            .limit(limit)
        )
        rows = await self._database.rows(statement)
        if not rows:
            raise NotFound(f"There is no webhook {webhook_id}.")
        return [WebhookDeliveryRead.model_validate(row) for row in rows if row.version is not None]

    async def user(self, user_id: UUID) -> UserRead:
        """See `Reads.user`."""
        row = next(iter(await self._database.rows(_user(user_id))), None)
        if row is None:
            raise Unauthenticated
        return UserRead.model_validate(row)

    async def password_of_address(self, email: str) -> StoredPassword | None:
        """See `Reads.password_of_address`."""
        return await self._password(col(User.email) == email)

    async def password_of_user(self, user_id: UUID) -> StoredPassword:
        """See `Reads.password_of_user`."""
        found = await self._password(col(User.id) == user_id)
        if found is None:
            raise Unauthenticated
        return found

    async def _password(self, is_the_users: ColumnElement[bool]) -> StoredPassword | None:
        statement = select(col(User.id), col(User.password_hash), col(User.password_version)).where(is_the_users)
        row = next(iter(await self._database.rows(statement)), None)
        return None if row is None else StoredPassword(*row)


def _user(user_id: UUID) -> Select[*tuple[Any, ...]]:
    post_count = select(func.count()).where(col(Post.user_id) == user_id).scalar_subquery()
    return select(
        col(User.id).label("user_id"), col(User.email), col(User.created_at), post_count.label("post_count")
    ).where(col(User.id) == user_id)


def _sessions(user_id: UUID) -> Select[*tuple[Any, ...]]:
    columns = [col(getattr(Session, name)) for name in SessionRead.model_fields if name != "is_current"]
    return select(*columns).where(col(Session.user_id) == user_id).order_by(col(Session.id).desc())


def _webhooks(owner_id: UUID) -> Select[*tuple[Any, ...]]:
    columns = [col(getattr(Webhook, name)) for name in WebhookRead.model_fields]
    return select(*columns).where(col(Webhook.user_id) == owner_id).order_by(col(Webhook.id).desc())


def _deliveries_after(webhook_id: UUID, version: int) -> Select[*tuple[Any, ...]]:
    return (
        select(*_DELIVERY_COLUMNS, col(WebhookDelivery.webhook_id))
        .where(col(WebhookDelivery.webhook_id) == webhook_id, col(WebhookDelivery.version) > version)
        .order_by(col(WebhookDelivery.version))
        .limit(_DELIVERIES_AT_A_TIME)
    )


def _post_read(row: Row[*tuple[Any, ...]]) -> PostRead:
    # The row was valid when it was written: validating it again would only cost time.
    return PostRead.model_construct(
        postID=row.postID, text=row.text, created_at=row.created_at, updated_at=row.updated_at, version=row.version
    )
