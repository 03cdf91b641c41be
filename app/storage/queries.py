"""What is read outside of transactions, each from one snapshot and scoped to an owner."""

from collections.abc import AsyncIterator, Collection
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, func, select
from sqlmodel import col
from typing_extensions import override

from app.batching import Batching
from app.database.engines import Database
from app.errors import NotFound, Unauthenticated
from app.ports.queries import Queries, StoredPassword
from app.storage.policy import ListPolicy
from app.storage.post_lists import COLUMNS, Page, PostLists
from app.storage.small_lists import small_lists
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
    WebhookDeliveryRead,
    WebhookRead,
)

DELIVERY_COLUMNS: list[Any] = [
    *(col(getattr(WebhookDelivery, name)) for name in WebhookDeliveryRead.model_fields if name != "postID"),
    col(WebhookDelivery.post_id).label("postID"),
]


class DatabaseQueries(Queries):
    """Reads, each from one snapshot of its own and scoped to an owner."""

    def __init__(self, database: Database, policy: ListPolicy) -> None:
        self._database = database
        self._policy = policy
        self._lists = PostLists(database, policy)
        self._small_lists = Batching[UUID, Page | None](
            partial(small_lists, database, policy), max_items=policy.small_lists_per_statement
        )

    async def page(self, owner_id: UUID, limit: int | None = None, before: int | None = None) -> Page | None:
        """Return the owner's posts below position `before`, newest first: `limit` of them, or all.

        It is `None` if they are too large to hold in memory at once; `page_in_parts` reads those.

        Raises:
            Unauthenticated: There is no such owner.
        """
        is_whole = limit is None and before is None
        if is_whole and (small := await self._small_lists(owner_id)) is not None:
            return small
        return await self._lists.page(owner_id, limit, before)

    def page_in_parts(self, owner_id: UUID, limit: int | None, before: int | None) -> AsyncIterator[Page]:
        """Yield the same posts, of whatever total size, in at least one part. All parts show one version."""
        return self._lists.page_in_parts(owner_id, limit, before)

    async def post(self, owner_id: UUID, post_id: UUID) -> PostRead:
        """Return the owner's post; raise `NotFound` if there is none, or it is someone else's."""
        statement = select(*COLUMNS).where(col(Post.id) == post_id, col(Post.user_id) == owner_id)
        row = await self._database.first(statement)
        if row is None:
            raise NotFound(f"There is no post {post_id}.")
        return _post_read(row)

    @override
    async def events_after(self, user_id: UUID, version: int, limit: int) -> list[PostEvent]:
        statement = (
            select(col(StoredEvent.payload))
            .where(col(StoredEvent.user_id) == user_id, col(StoredEvent.version) > version)
            .order_by(col(StoredEvent.version))
            .limit(limit)
        )
        return [decode(payload) for (payload,) in await self._database.rows(statement)]

    async def sessions(self, user_id: UUID, current_session_id: UUID, at: datetime) -> list[SessionRead]:
        """Return the user's sessions that are alive at that time, newest first, with the current one marked."""
        rows = await self._database.rows(_sessions(user_id).where(col(Session.expires_at) > at))
        return [_session_read(row, current_session_id) for row in rows]

    async def webhook_owners(self, user_ids: Collection[UUID]) -> Collection[UUID]:
        """Return those of the users who have a webhook that is not disabled."""
        statement = select(col(Webhook.user_id)).where(
            col(Webhook.user_id).in_(user_ids), col(Webhook.disabled_at).is_(None)
        )
        return {user_id for (user_id,) in await self._database.rows(statement)}

    async def webhooks(self, owner_id: UUID) -> list[WebhookRead]:
        """Return the owner's webhooks, newest first."""
        rows = await self._database.rows(_webhooks(owner_id))
        return [WebhookRead.model_validate(row) for row in rows]

    async def webhook_deliveries(self, owner_id: UUID, webhook_id: UUID, limit: int) -> list[WebhookDeliveryRead]:
        """Return a webhook's newest deliveries, newest first; raise `NotFound` if the owner has no such webhook."""
        # Joined from the webhook, so that one statement tells a missing webhook from one without deliveries.
        statement = (
            select(*DELIVERY_COLUMNS)
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
        """Return the user; raise `Unauthenticated` if there is none."""
        row = await self._database.first(user_statement(user_id))
        if row is None:
            raise Unauthenticated
        return UserRead.model_validate(row)

    @override
    async def password_of_address(self, email: str) -> StoredPassword | None:
        return await self._password(col(User.email) == email)

    @override
    async def password_of_user(self, user_id: UUID) -> StoredPassword:
        found = await self._password(col(User.id) == user_id)
        if found is None:
            raise Unauthenticated
        return found

    async def _password(self, is_the_users: ColumnElement[bool]) -> StoredPassword | None:
        statement = select(col(User.id), col(User.password_hash), col(User.password_version)).where(is_the_users)
        row = await self._database.first(statement)
        return None if row is None else StoredPassword(*row)


def user_statement(user_id: UUID) -> Select[*tuple[Any, ...]]:
    """Return the statement that reads a user as they see themselves."""
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


def _session_read(row: Row[*tuple[Any, ...]], current_session_id: UUID) -> SessionRead:
    session = SessionRead.model_validate(row)
    session.is_current = session.id == current_session_id
    return session


def _post_read(row: Row[*tuple[Any, ...]]) -> PostRead:
    # The row was validated when it was written. To validate it again would only cost time.
    return PostRead.model_construct(
        postID=row.postID, text=row.text, created_at=row.created_at, updated_at=row.updated_at, version=row.version
    )
