"""Every query, always scoped to an owner. `app.ports` says what each method promises."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, Row, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col
from sqlmodel import select as select_entity
from sqlmodel.ext.asyncio.session import AsyncSession

from app.database import Database
from app.errors import EmailTaken, NotFound, Unauthenticated
from app.ports import Page
from app.timeline import TimelineState
from models import IdempotencyKey, Post, PostRead, Session, SessionRead, User, UserRead
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
            raise _no_post(post_id)
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


class ReadRepository:
    """The port `Reads`, and what `app.timeline` asks of the database: one statement for each question."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, owner_id: UUID, limit: int | None, before: int | None) -> Page:
        """See `Reads.page`."""
        # Joined from the user, so that one statement reads the list and the version it shows, also of an empty list.
        shown = col(Post.user_id) == col(User.id)
        if before is not None:
            shown &= col(Post.position) < before
        statement = (
            select(col(User.timeline_version), col(Post.position), *_POST_COLUMNS)
            .select_from(User)
            .outerjoin(Post, shown)
            .where(col(User.id) == owner_id)
            .order_by(col(Post.position).desc())
            .limit(None if limit is None else limit + 1)
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(statement)).all()
        if not rows:
            raise Unauthenticated
        posts = [row for row in rows if row.position is not None]
        has_more = limit is not None and len(posts) > limit
        posts = posts[:limit]
        return Page(
            version=rows[0].timeline_version,
            posts=[_post_read(row) for row in posts],
            next_cursor=posts[-1].position if has_more else None,
        )

    async def post(self, owner_id: UUID, post_id: UUID) -> PostRead:
        """See `Reads.post`."""
        statement = select(*_POST_COLUMNS).where(col(Post.id) == post_id, col(Post.user_id) == owner_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(statement)).one_or_none()
        if row is None:
            raise _no_post(post_id)
        return _post_read(row)

    async def posts_oldest_first(self, owner_id: UUID) -> AsyncIterator[PostRead]:
        """See `Reads.posts_oldest_first`."""
        after = 0
        while True:
            statement = (
                select(col(Post.position), *_POST_COLUMNS)
                .where(col(Post.user_id) == owner_id, col(Post.position) > after)
                .order_by(col(Post.position))
                .limit(_POSTS_AT_A_TIME)
            )
            async with self._database.reading() as connection:
                rows = (await connection.execute(statement)).all()
            for row in rows:
                yield _post_read(row)
            if len(rows) < _POSTS_AT_A_TIME:
                return
            after = rows[-1].position

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
        async with self._database.reading() as connection:
            rows = (await connection.execute(statement)).all()
        return [SessionRead.model_validate(row) for row in rows]

    async def user(self, user_id: UUID) -> UserRead:
        """See `Reads.user`."""
        post_count = select(func.count()).where(col(Post.user_id) == user_id).scalar_subquery()
        statement = select(
            col(User.id).label("user_id"), col(User.email), col(User.created_at), post_count.label("post_count")
        ).where(col(User.id) == user_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(statement)).one_or_none()
        if row is None:
            raise Unauthenticated
        return UserRead.model_validate(row)

    async def password_hash(self, email: str) -> tuple[UUID, str] | None:
        """See `Reads.password_hash`."""
        statement = select(col(User.id), col(User.password_hash)).where(col(User.email) == email)
        async with self._database.reading() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else (row.id, row.password_hash)

    async def password_hash_of(self, user_id: UUID) -> str:
        """See `Reads.password_hash_of`."""
        async with self._database.reading() as connection:
            found: str | None = await connection.scalar(select(col(User.password_hash)).where(col(User.id) == user_id))
        if found is None:
            raise Unauthenticated
        return found

    async def timeline_state(self, user_id: UUID) -> TimelineState | None:
        """Return the user's timeline version and sessions, or `None` when the user is gone."""
        statement = (
            select(col(User.timeline_version), col(Session.id), col(Session.expires_at))
            .select_from(User)
            .outerjoin(Session, col(Session.user_id) == col(User.id))
            .where(col(User.id) == user_id)
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(statement)).all()
        if not rows:
            return None
        return TimelineState(
            version=rows[0].timeline_version, sessions={row.id: row.expires_at for row in rows if row.id is not None}
        )

    async def live_version(self, user_id: UUID, session_id: UUID) -> int | None:
        """Return the user's timeline version, if the session is theirs and alive."""
        statement = (
            select(col(User.timeline_version))
            .join(Session, col(Session.user_id) == col(User.id))
            .where(col(Session.id) == session_id, col(User.id) == user_id, col(Session.expires_at) > now())
        )
        async with self._database.reading() as connection:
            version: int | None = await connection.scalar(statement)
        return version


# At 1 MiB each, 16 MiB at most are held for one reader.
_POSTS_AT_A_TIME = 16

_POST_COLUMNS: tuple[Any, ...] = (
    col(Post.id).label("postID"),
    col(Post.text),
    col(Post.created_at),
    col(Post.updated_at),
    col(Post.version),
)


def _post_read(row: Row[*tuple[Any, ...]]) -> PostRead:
    # The row was valid when it was written: validating it again would only cost time.
    return PostRead.model_construct(
        postID=row.postID, text=row.text, created_at=row.created_at, updated_at=row.updated_at, version=row.version
    )


def _no_post(post_id: UUID) -> NotFound:
    return NotFound(f"There is no post {post_id}.")
