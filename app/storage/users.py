"""Users within one transaction."""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Update, and_, bindparam, case, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession
from typing_extensions import override

from app.errors import EmailTaken, QuotaExceeded, Unauthenticated
from app.ports.unit_of_work import NO_GROWTH, ChangeLog, Users
from app.quotas import UNLIMITED, Growth, Quotas
from app.storage.policy import RetentionPolicy
from models import Erasure, Post, User, Webhook
from models.columns import UTCDateTime, UUIDBytes, now
from models.erasure import OWNED
from models.user import address_key

# Statements are built once: to build them takes longer than to run them.
_BY = bindparam("by", type_=BigInteger)
_POSTS = bindparam("posts", type_=BigInteger)
_BYTES = bindparam("bytes", type_=BigInteger)
_ADVANCED = {
    "timeline_version": col(User.timeline_version) + _BY,
    "undelivered_since": func.coalesce(col(User.undelivered_since), bindparam("at", type_=UTCDateTime)),
    "counted_version": col(User.counted_version) + _BY,
    "post_count": col(User.post_count) + _POSTS,
}
_GROWN = {"post_count": col(User.post_count) + _POSTS, "post_bytes": col(User.post_bytes) + _BYTES}
_IS_ONE = col(User.id) == bindparam("user_id", type_=UUIDBytes)
_HAS_ROOM = and_(
    or_(
        _POSTS <= 0,
        _GROWN["post_count"] <= func.coalesce(col(User.max_posts), bindparam("posts_bound", type_=BigInteger)),
    ),
    or_(
        _BYTES <= 0,
        _GROWN["post_bytes"] <= func.coalesce(col(User.max_bytes), bindparam("bytes_bound", type_=BigInteger)),
    ),
)
_IS_COUNTED = col(User.counted_version) == col(User.timeline_version)
# The quotas are conditions of the statement that locks the row, so they cost no round trip unless they refuse.
_ADVANCE = update(User).where(_IS_ONE, _IS_COUNTED, _HAS_ROOM)
_ADVANCE_AND_RETURN = _ADVANCE.values(_ADVANCED | _GROWN).returning(col(User.timeline_version))
# MySQL has no UPDATE … RETURNING, but reports LAST_INSERT_ID with its answer: still one round trip.
_ADVANCE_AND_REPORT = _ADVANCE.values(
    _ADVANCED | _GROWN | {"timeline_version": func.last_insert_id(_ADVANCED["timeline_version"])}
)
_GROW = update(User).where(_IS_ONE, _HAS_ROOM).values(_GROWN)
_ROW = select(
    col(User.id),
    col(User.timeline_version),
    col(User.counted_version),
    col(User.post_count),
    col(User.post_bytes),
    col(User.max_posts),
    col(User.max_bytes),
)
_LOCK = _ROW.where(_IS_ONE).with_for_update()
# Without SKIP LOCKED, one user whose row is locked elsewhere would delay all the others.
_LOCK_FREE = _ROW.where(col(User.id).in_(bindparam("user_ids", expanding=True, type_=UUIDBytes))).with_for_update(
    skip_locked=True
)


class UserRepository(Users):
    """Users in the database."""

    def __init__(self, session: AsyncSession, changes: ChangeLog, retention: RetentionPolicy, quotas: Quotas) -> None:
        self._session = session
        self._quotas = quotas
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
    async def change_email(self, user: User, email: str) -> None:
        user.email, user.email_key = email, address_key(email)
        await self.add(user)

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
    async def advance_timeline(self, user_id: UUID, growth: Growth = NO_GROWTH, *, by: int = 1) -> int:
        values = self._bounded(user_id, growth) | {"by": by, "at": now()}
        while (version := await self._advanced(values)) is None:
            # What this does not refuse is locked, counted and has room: the second time, the row is advanced.
            await self._require_room(user_id, growth)
        self._changes.advance(user_id, version, by, growth)
        return version

    @override
    async def advance_timelines(
        self, changes: Mapping[UUID, int], growth: Mapping[UUID, Growth]
    ) -> Mapping[UUID, int | None]:
        if len(changes) == 1:
            [(user_id, by)] = changes.items()
            try:
                return {user_id: await self.advance_timeline(user_id, growth[user_id], by=by)}
            except QuotaExceeded:
                return {user_id: None}
            except Unauthenticated:
                return {}
        connection = await self._session.connection()
        versions = dict[UUID, int | None]()
        alike = defaultdict[tuple[int, int], list[tuple[UUID, int]]](list)
        row: Any
        for row in (await connection.execute(_LOCK_FREE, {"user_ids": list(changes)})).all():
            added = growth[row.id]
            versions[row.id] = None
            if row.counted_version != row.timeline_version:
                row = await self._recount(row.id)  # noqa: PLW2901 - the same row, read again
            with suppress(QuotaExceeded):
                self._quotas.check(row, added)
                by = changes[row.id]
                versions[row.id] = version = row.timeline_version + by
                alike[by, added.posts].append((row.id, added.bytes))
                self._changes.advance(row.id, version, by, added)
        for (by, posts), users in alike.items():
            values: dict[str, Any] = {"by": by, "posts": posts, "at": now()}
            for n, (user_id, size) in enumerate(users):
                values[f"id_{n}"], values[f"bytes_{n}"] = user_id, size
            await connection.execute(_advance_several(len(users)), values)
        return versions

    @override
    async def grow(self, user_id: UUID, growth: Growth) -> None:
        connection = await self._session.connection()
        while not (await connection.execute(_GROW, self._bounded(user_id, growth))).rowcount:
            await self._require_room(user_id, growth)
        self._changes.count(user_id, growth)

    async def _advanced(self, values: dict[str, Any]) -> int | None:
        """Advance a timeline and return its version, or `None` if no row fulfils the conditions."""
        connection = await self._session.connection()
        if connection.dialect.update_returning:
            version: int | None = await connection.scalar(_ADVANCE_AND_RETURN, values)
            return version
        result = await connection.execute(_ADVANCE_AND_REPORT, values)
        return result.lastrowid if result.rowcount else None

    def _bounded(self, user_id: UUID, growth: Growth) -> dict[str, Any]:
        bounds = {"posts_bound": self._quotas.posts, "bytes_bound": self._quotas.bytes}
        return {
            "user_id": user_id,
            "posts": growth.posts,
            "bytes": growth.bytes,
            **{name: UNLIMITED if bound is None else bound for name, bound in bounds.items()},
        }

    async def _require_room(self, user_id: UUID, growth: Growth) -> None:
        """Lock the user's row, count what they have if that is not known, and check that they have room.

        Raises:
            Unauthenticated: There is no such user.
            QuotaExceeded: They have no room.
        """
        locked = await (await self._session.connection()).execute(_LOCK, {"user_id": user_id})
        row: Any = locked.one_or_none()
        if row is None:
            raise Unauthenticated
        if row.counted_version != row.timeline_version:
            row = await self._recount(user_id)
        self._quotas.check(row, growth)

    async def _recount(self, user_id: UUID) -> Any:
        """Count what a locked user has, and return their row.

        That is needed once, where a process of a version before these counts has written to the timeline.
        """
        connection = await self._session.connection()
        posts = select(func.count(), func.coalesce(func.sum(col(Post.size)), 0)).where(col(Post.user_id) == user_id)
        count, size = (await connection.execute(posts)).one()
        counted = {"post_count": count, "post_bytes": int(size), "counted_version": col(User.timeline_version)}
        await connection.execute(update(User).where(_IS_ONE).values(counted), {"user_id": user_id})
        return (await connection.execute(_LOCK, {"user_id": user_id})).one()


@cache
def _advance_several(users: int) -> Update:
    """Return the statement that advances so many timelines. All change alike but for the bytes they add."""
    ids = [bindparam(f"id_{n}", type_=UUIDBytes) for n in range(users)]
    sizes = {user_id: bindparam(f"bytes_{n}", type_=BigInteger) for n, user_id in enumerate(ids)}
    added = case(*((col(User.id) == user_id, size) for user_id, size in sizes.items()), else_=0)
    return update(User).where(col(User.id).in_(ids)).values(_ADVANCED | {"post_bytes": col(User.post_bytes) + added})
