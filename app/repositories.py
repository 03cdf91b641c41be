"""The queries of a transaction, always scoped to an owner. See `app.ports.transactions` for what each promises."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CursorResult, and_, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col
from sqlmodel import select as select_entity
from sqlmodel.ext.asyncio.session import AsyncSession

from app.errors import EmailTaken, NotFound, Unauthenticated
from events.types import PostEvent
from models import Erasure, IdempotencyKey, Post, Session, User, Webhook, WebhookDelivery
from models.columns import UTCDateTime, UUIDBytes, now
from models.erasure import OWNED

# Removed in one transaction well before anybody's patience ends.
_FEW_CHANGES = 500
_FEW_BYTES = 16 * 1024 * 1024

# Made once: putting them together takes longer than to run them.
_ADVANCED = {
    "timeline_version": col(User.timeline_version) + bindparam("by", type_=BigInteger),
    "undelivered_since": func.coalesce(col(User.undelivered_since), bindparam("at", type_=UTCDateTime)),
}
_IS_ONE = col(User.id) == bindparam("user_id", type_=UUIDBytes)
_ARE_SEVERAL = col(User.id).in_(bindparam("user_ids", expanding=True, type_=UUIDBytes))
_ADVANCE_AND_RETURN = update(User).where(_IS_ONE).values(_ADVANCED).returning(col(User.timeline_version))
# MySQL has no UPDATE … RETURNING, but sends LAST_INSERT_ID along with its answer: still one round trip.
_ADVANCE_AND_SEND = (
    update(User)
    .where(_IS_ONE)
    .values(_ADVANCED | {"timeline_version": func.last_insert_id(_ADVANCED["timeline_version"])})
)
# Whoever is being written to elsewhere would make all the others wait.
_LOCK_FREE = select(col(User.id), col(User.timeline_version)).where(_ARE_SEVERAL).with_for_update(skip_locked=True)
_ADVANCE_SEVERAL = update(User).where(_ARE_SEVERAL).values(_ADVANCED)


class UserRepository:
    """The port `Users`."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, user: User) -> None:
        """See `Users.add`."""
        self._session.add(user)
        try:
            await self._session.flush()
        except IntegrityError:
            raise EmailTaken from None

    async def lock(self, user_id: UUID) -> User:
        """See `Users.lock`."""
        user = await self._session.get(User, user_id, with_for_update=True)
        if user is None:
            raise Unauthenticated
        return user

    async def delete(self, user: User) -> None:
        """See `Users.delete`."""
        connection = await self._session.connection()
        # Locked, so that nothing more is queued for them.
        webhooks = select(col(Webhook.id)).where(col(Webhook.user_id) == user.id).order_by(col(Webhook.id))
        owner_ids = [user.id, *(await connection.execute(webhooks.with_for_update())).scalars()]
        if user.timeline_version <= _FEW_CHANGES and await self._bytes_of_posts(user.id) <= _FEW_BYTES:
            for owner, *_ in OWNED:
                await connection.execute(delete(owner.class_).where(owner.in_(owner_ids)))
        else:
            await connection.execute(insert(Erasure), [{"owner_id": owner_id} for owner_id in owner_ids])
        await self._session.delete(user)

    async def _bytes_of_posts(self, user_id: UUID) -> int:
        statement = select(func.coalesce(func.sum(col(Post.size)), 0)).where(col(Post.user_id) == user_id)
        return int(await (await self._session.connection()).scalar(statement) or 0)

    async def advance_timeline(self, user_id: UUID, by: int = 1) -> int:
        """See `Users.advance_timeline`."""
        values = {"user_id": user_id, "by": by, "at": now()}
        connection = await self._session.connection()
        version: int | None
        if connection.dialect.update_returning:
            version = await connection.scalar(_ADVANCE_AND_RETURN, values)
        else:
            result = await connection.execute(_ADVANCE_AND_SEND, values)
            version = result.lastrowid if result.rowcount else None
        if version is None:
            raise Unauthenticated
        return version

    async def advance_timelines(self, changes: Mapping[UUID, int]) -> Mapping[UUID, int]:
        """See `Users.advance_timelines`."""
        if len(changes) == 1:
            [(user_id, by)] = changes.items()
            with suppress(Unauthenticated):
                return {user_id: await self.advance_timeline(user_id, by)}
            return {}
        connection = await self._session.connection()
        locked = (await connection.execute(_LOCK_FREE, {"user_ids": list(changes)})).all()
        by_count = defaultdict[int, list[UUID]](list)
        for user_id, _ in locked:
            by_count[changes[user_id]].append(user_id)
        for by, user_ids in by_count.items():
            await connection.execute(_ADVANCE_SEVERAL, {"user_ids": user_ids, "by": by, "at": now()})
        return {user_id: version + changes[user_id] for user_id, version in locked}


class PostRepository:
    """The port `Posts`."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._added: list[Post] = []

    def add(self, post: Post) -> None:
        """See `Posts.add`."""
        self._added.append(post)

    def take_added(self) -> list[dict[str, Any]]:
        """Return the rows of what was added and is not inserted yet."""
        added, self._added = self._added, []
        return [{name: getattr(post, name) for name in Post.model_fields} for post in added]

    async def get(self, owner_id: UUID, post_id: UUID) -> Post:
        """See `Posts.get`."""
        statement = select_entity(Post).where(col(Post.id) == post_id, col(Post.user_id) == owner_id)
        post = (await self._session.exec(statement)).one_or_none()
        if post is None:
            raise NotFound(f"There is no post {post_id}.")
        return post

    async def delete(self, post: Post) -> None:
        """See `Posts.delete`."""
        await self._session.delete(post)


class SessionRepository:
    """The port `Sessions`."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, session: Session) -> None:
        """See `Sessions.add`."""
        self._session.add(session)

    async def lock(self, session_id: UUID, at: datetime) -> Session | None:
        """See `Sessions.lock`."""
        statement = select_entity(Session).where(col(Session.id) == session_id, col(Session.expires_at) > at)
        return (await self._session.exec(statement.with_for_update())).one_or_none()

    async def end(self, user_id: UUID, session_id: UUID) -> bool:
        """See `Sessions.end`."""
        statement = delete(Session).where(col(Session.id) == session_id, col(Session.user_id) == user_id)
        result: CursorResult[Any] = await (await self._session.connection()).execute(statement)
        return result.rowcount > 0

    async def end_all(self, user_id: UUID, *, but: UUID | None = None) -> None:
        """See `Sessions.end_all`."""
        statement = delete(Session).where(col(Session.user_id) == user_id)
        if but is not None:
            statement = statement.where(col(Session.id) != but)
        await (await self._session.connection()).execute(statement)

    async def end_unused(self, user_id: UUID, *, keep: int) -> None:
        """See `Sessions.end_unused`."""
        connection = await self._session.connection()
        # MySQL deletes nothing that it finds with LIMIT in a query within the statement.
        newest_first = (
            select(col(Session.id))
            .where(col(Session.user_id) == user_id)
            .order_by(col(Session.last_used_at).desc(), col(Session.id).desc())
        )
        unused = (await connection.execute(newest_first.offset(keep))).scalars().all()
        if unused:
            await connection.execute(delete(Session).where(col(Session.id).in_(unused)))


class IdempotencyKeyRepository:
    """The port `IdempotencyKeys`."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, user_id: UUID, key: str) -> IdempotencyKey | None:
        """See `IdempotencyKeys.get`."""
        statement = select_entity(IdempotencyKey).where(
            col(IdempotencyKey.user_id) == user_id,
            col(IdempotencyKey.key) == key,
            col(IdempotencyKey.created_at) > now() - IdempotencyKey.lifetime,
        )
        return (await self._session.exec(statement)).one_or_none()

    async def put(self, used: IdempotencyKey) -> None:
        """See `IdempotencyKeys.put`."""
        # An older use may be pruned at any moment: it is locked by being removed, not only read.
        is_this = and_(col(IdempotencyKey.user_id) == used.user_id, col(IdempotencyKey.key) == used.key)
        await (await self._session.connection()).execute(delete(IdempotencyKey).where(is_this))
        self._session.add(used)


class WebhookRepository:
    """The port `Webhooks`."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, webhook: Webhook) -> None:
        """See `Webhooks.add`."""
        self._session.add(webhook)

    async def count(self, owner_id: UUID) -> int:
        """See `Webhooks.count`."""
        statement = select(func.count()).where(col(Webhook.user_id) == owner_id)
        return (await (await self._session.connection()).execute(statement)).scalar_one()

    async def remove(self, owner_id: UUID, webhook_id: UUID) -> bool:
        """See `Webhooks.remove`."""
        connection = await self._session.connection()
        statement = delete(Webhook).where(col(Webhook.id) == webhook_id, col(Webhook.user_id) == owner_id)
        result: CursorResult[Any] = await connection.execute(statement)
        if result.rowcount == 0:
            return False
        await connection.execute(insert(Erasure).values(owner_id=webhook_id))
        return True

    async def queue(self, owner_id: UUID, events: Sequence[PostEvent]) -> None:
        """See `Webhooks.queue`."""
        # Locked, so that whoever tells one can't find nothing left, and forget it, while something is being added.
        statement = (
            select_entity(Webhook)
            .where(col(Webhook.user_id) == owner_id, col(Webhook.disabled_at).is_(None))
            .order_by(col(Webhook.id))
        )
        for webhook in (await self._session.exec(statement.with_for_update())).all():
            versions = [event.version for event in events]
            known = select_entity(WebhookDelivery.version).where(
                col(WebhookDelivery.webhook_id) == webhook.id, col(WebhookDelivery.version).in_(versions)
            )
            queued = set((await self._session.exec(known)).all())
            new = [event for event in events if webhook.wants(event) and event.version not in queued]
            self._session.add_all(WebhookDelivery.of(webhook, event) for event in new)
            if new and webhook.due_at is None:
                webhook.due_at = now()
