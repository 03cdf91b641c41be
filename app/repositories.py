"""The queries of a transaction, always scoped to an owner. `app.ports` says what each method promises."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, delete, func, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col
from sqlmodel import select as select_entity
from sqlmodel.ext.asyncio.session import AsyncSession

from app.errors import EmailTaken, NotFound, Unauthenticated
from models import IdempotencyKey, Post, Session, User
from models.columns import now


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
        await self._session.delete(user)

    async def advance_timeline(self, user_id: UUID) -> int:
        """See `Users.advance_timeline`."""
        following = col(User.timeline_version) + 1
        statement = update(User).where(col(User.id) == user_id)
        connection = await self._session.connection()
        version: int | None
        if connection.dialect.update_returning:
            version = await connection.scalar(
                statement.values(timeline_version=following).returning(col(User.timeline_version))
            )
        else:
            # MySQL has no UPDATE … RETURNING, but sends LAST_INSERT_ID along with its answer: still one round trip.
            result = await connection.execute(statement.values(timeline_version=func.last_insert_id(following)))
            version = result.lastrowid if result.rowcount else None
        if version is None:
            raise Unauthenticated
        return version


class PostRepository:
    """The port `Posts`."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, post: Post) -> None:
        """See `Posts.add`."""
        self._session.add(post)

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
        await self._session.merge(used)
