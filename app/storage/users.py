"""Users within one transaction."""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from uuid import UUID

from sqlalchemy import BigInteger, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession
from typing_extensions import override

from app.errors import EmailTaken, Unauthenticated
from app.ports.unit_of_work import ChangeLog, Users
from app.storage.policy import RetentionPolicy
from models import Erasure, Post, User, Webhook
from models.columns import UTCDateTime, UUIDBytes, now
from models.erasure import OWNED

# Statements are built once: to build them takes longer than to run them.
_ADVANCED = {
    "timeline_version": col(User.timeline_version) + bindparam("by", type_=BigInteger),
    "undelivered_since": func.coalesce(col(User.undelivered_since), bindparam("at", type_=UTCDateTime)),
}
_IS_ONE = col(User.id) == bindparam("user_id", type_=UUIDBytes)
_ARE_SEVERAL = col(User.id).in_(bindparam("user_ids", expanding=True, type_=UUIDBytes))
_ADVANCE_AND_RETURN = update(User).where(_IS_ONE).values(_ADVANCED).returning(col(User.timeline_version))
# MySQL has no UPDATE … RETURNING, but reports LAST_INSERT_ID with its answer: still one round trip.
_ADVANCE_AND_REPORT = (
    update(User)
    .where(_IS_ONE)
    .values(_ADVANCED | {"timeline_version": func.last_insert_id(_ADVANCED["timeline_version"])})
)
# Without SKIP LOCKED, one user whose row is locked elsewhere would delay all the others.
_LOCK_FREE = select(col(User.id), col(User.timeline_version)).where(_ARE_SEVERAL).with_for_update(skip_locked=True)
_ADVANCE_SEVERAL = update(User).where(_ARE_SEVERAL).values(_ADVANCED)


class UserRepository(Users):
    """Users in the database."""

    def __init__(self, session: AsyncSession, changes: ChangeLog, retention: RetentionPolicy) -> None:
        self._session = session
        self._retention = retention
        self._changes = changes

    @override
    async def add(self, user: User) -> None:
        self._session.add(user)
        try:
            await self._session.flush()
        except IntegrityError:
            raise EmailTaken from None

    @override
    async def lock(self, user_id: UUID) -> User:
        user = await self._session.get(User, user_id, with_for_update=True)
        if user is None:
            raise Unauthenticated
        return user

    @override
    async def delete(self, user: User) -> None:
        connection = await self._session.connection()
        # Locked, so that no delivery is queued meanwhile.
        webhooks = select(col(Webhook.id)).where(col(Webhook.user_id) == user.id).order_by(col(Webhook.id))
        owner_ids = [user.id, *(await connection.execute(webhooks.with_for_update())).scalars()]
        is_small = user.timeline_version <= self._retention.inline_rows
        if is_small and await self._bytes_of_posts(user.id) <= self._retention.inline_bytes:
            for owner, *_ in OWNED:
                await connection.execute(delete(owner.class_).where(owner.in_(owner_ids)))
        else:
            await connection.execute(insert(Erasure), [{"owner_id": owner_id} for owner_id in owner_ids])
        await self._session.delete(user)

    async def _bytes_of_posts(self, user_id: UUID) -> int:
        statement = select(func.coalesce(func.sum(col(Post.size)), 0)).where(col(Post.user_id) == user_id)
        return int(await (await self._session.connection()).scalar(statement) or 0)

    @override
    async def advance_timeline(self, user_id: UUID) -> int:
        return await self._advance(user_id, by=1)

    @override
    async def advance_timelines(self, changes: Mapping[UUID, int]) -> Mapping[UUID, int]:
        if len(changes) == 1:
            [(user_id, by)] = changes.items()
            with suppress(Unauthenticated):
                return {user_id: await self._advance(user_id, by)}
            return {}
        connection = await self._session.connection()
        locked = (await connection.execute(_LOCK_FREE, {"user_ids": list(changes)})).all()
        by_count = defaultdict[int, list[UUID]](list)
        for user_id, _ in locked:
            by_count[changes[user_id]].append(user_id)
        for by, user_ids in by_count.items():
            await connection.execute(_ADVANCE_SEVERAL, {"user_ids": user_ids, "by": by, "at": now()})
        versions = {user_id: version + changes[user_id] for user_id, version in locked}
        for user_id, version in versions.items():
            self._changes.advance(user_id, version, changes[user_id])
        return versions

    async def _advance(self, user_id: UUID, by: int) -> int:
        values = {"user_id": user_id, "by": by, "at": now()}
        connection = await self._session.connection()
        version: int | None
        if connection.dialect.update_returning:
            version = await connection.scalar(_ADVANCE_AND_RETURN, values)
        else:
            result = await connection.execute(_ADVANCE_AND_REPORT, values)
            version = result.lastrowid if result.rowcount else None
        if version is None:
            raise Unauthenticated
        self._changes.advance(user_id, version, by)
        return version
