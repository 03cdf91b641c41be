"""The questions that no transaction asks, always scoped to an owner. `app.ports` says what each method promises."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, bindparam, func, select
from sqlmodel import col

from app import post_lists
from app.batching import Batching
from app.database import Database
from app.errors import NotFound, Unauthenticated
from app.ports.reads import Page, StoredPassword
from app.timeline import TimelineState
from events.types import PostEvent, decode
from models import (
    Post,
    PostItem,
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
from models.columns import UTCDateTime, UUIDBytes, now


class DatabaseReads:
    """The port `Reads`, and what `app.timeline` asks of the database: one statement for each question."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._live_versions = Batching(self._read_live_versions)

    async def page(self, owner_id: UUID, limit: int | None, before: int | None) -> Page | None:
        """See `Reads.page`."""
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

    async def posts_oldest_first(self, owner_id: UUID) -> AsyncIterator[PostItem]:
        """See `Reads.posts_oldest_first`."""
        async with self._database.snapshot() as connection:
            async for posts in post_lists.oldest_first(connection, owner_id):
                for post in posts:
                    yield post

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
        statement = (
            select(
                col(Session.id),
                col(Session.user_agent),
                col(Session.created_at),
                col(Session.last_used_at),
                col(Session.expires_at),
            )
            .where(col(Session.user_id) == user_id, col(Session.expires_at) > at)
            .order_by(col(Session.id).desc())
        )
        rows = await self._database.rows(statement)
        return [SessionRead.model_validate(row) for row in rows]

    async def webhook_owners(self, user_ids: Collection[UUID]) -> Collection[UUID]:
        """See `Reads.webhook_owners`."""
        statement = select(col(Webhook.user_id)).where(
            col(Webhook.user_id).in_(user_ids), col(Webhook.disabled_at).is_(None)
        )
        return {user_id for (user_id,) in await self._database.rows(statement)}

    async def webhooks(self, owner_id: UUID) -> list[WebhookRead]:
        """See `Reads.webhooks`."""
        columns = [col(getattr(Webhook, name)) for name in WebhookRead.model_fields]
        statement = select(*columns).where(col(Webhook.user_id) == owner_id).order_by(col(Webhook.id).desc())
        rows = await self._database.rows(statement)
        return [WebhookRead.model_validate(row) for row in rows]

    async def webhook_deliveries(self, owner_id: UUID, webhook_id: UUID, limit: int) -> list[WebhookDeliveryRead]:
        """See `Reads.webhook_deliveries`."""
        columns = [col(getattr(WebhookDelivery, name)) for name in WebhookDeliveryRead.model_fields if name != "postID"]
        # Joined from the webhook, so that one statement tells none from one that was told nothing yet.
        statement = (
            select(*columns, col(WebhookDelivery.post_id).label("postID"))
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
        post_count = select(func.count()).where(col(Post.user_id) == user_id).scalar_subquery()
        statement = select(
            col(User.id).label("user_id"), col(User.email), col(User.created_at), post_count.label("post_count")
        ).where(col(User.id) == user_id)
        row = next(iter(await self._database.rows(statement)), None)
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

    async def timeline_state(self, user_id: UUID) -> TimelineState | None:
        """Return the user's timeline version and sessions, or `None` when the user is gone."""
        statement = (
            select(col(User.timeline_version), col(Session.id), col(Session.expires_at))
            .select_from(User)
            .outerjoin(Session, col(Session.user_id) == col(User.id))
            .where(col(User.id) == user_id)
        )
        rows = await self._database.rows(statement)
        if not rows:
            return None
        return TimelineState(
            version=rows[0].timeline_version, sessions={row.id: row.expires_at for row in rows if row.id is not None}
        )

    async def marks(self, user_ids: list[UUID]) -> dict[UUID, tuple[int, frozenset[UUID]]]:
        """Return each user's timeline version and sessions; those who are gone are left out."""
        found: dict[UUID, tuple[int, frozenset[UUID]]] = {}
        for start in range(0, len(user_ids), _USERS_AT_A_TIME):
            statement: Select[*tuple[Any, ...]] = (
                select(col(User.id), col(User.timeline_version), col(Session.id).label("session_id"))
                .outerjoin(Session, col(Session.user_id) == col(User.id))
                .where(col(User.id).in_(user_ids[start : start + _USERS_AT_A_TIME]))
            )
            for user_id, version, session_id in await self._database.rows(statement):
                _, sessions = found.get(user_id, (version, frozenset[UUID]()))
                found[user_id] = (version, sessions | {session_id})
        return found

    async def live_version(self, user_id: UUID, session_id: UUID) -> int | None:
        """Return the user's timeline version, if the session is theirs and alive."""
        return await self._live_versions((user_id, session_id))

    async def _read_live_versions(self, asked: Sequence[tuple[UUID, UUID]]) -> list[int | None]:
        values = {"session_ids": {session_id for _, session_id in asked}, "now": now()}
        rows = await self._database.rows(_LIVE_VERSIONS, values)
        versions: dict[tuple[UUID, UUID], int] = {(row.user_id, row.id): row.timeline_version for row in rows}
        return [versions.get(of) for of in asked]


_USERS_AT_A_TIME = 500

# Asked for each request where no memory answers: made once, for putting it together takes longer than to run it.
_LIVE_VERSIONS = (
    select(col(Session.id), col(Session.user_id), col(User.timeline_version))
    .join(User, col(Session.user_id) == col(User.id))
    .where(
        col(Session.id).in_(bindparam("session_ids", expanding=True, type_=UUIDBytes)),
        col(Session.expires_at) > bindparam("now", type_=UTCDateTime),
    )
)


def _post_read(row: Row[*tuple[Any, ...]]) -> PostRead:
    # The row was valid when it was written: validating it again would only cost time.
    return PostRead.model_construct(
        postID=row.postID, text=row.text, created_at=row.created_at, updated_at=row.updated_at, version=row.version
    )
