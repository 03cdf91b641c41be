"""Lists of posts: read whole if they are small enough to hold in memory, else streamed in parts."""

from collections.abc import AsyncIterator, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Row, Select, and_, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from app.database.engines import Database
from app.errors import Unauthenticated
from app.storage.policy import ListPolicy
from models import Post, PostItem, User
from models.columns import UUIDBytes

# The fields of `PostItem`, in their order.
COLUMNS: tuple[Any, ...] = (
    col(Post.id).label("postID"),
    col(Post.text),
    col(Post.created_at),
    col(Post.updated_at),
    col(Post.version),
)


class Page(NamedTuple):
    """A list of posts, newest first, and the timeline version that it shows.

    `next_cursor` is the position below which the next page begins, or `None` on the last page.
    """

    version: int
    posts: list[PostItem]
    next_cursor: int | None


class PostLists:
    """Reads lists of posts: whole if they are small enough to hold, in parts if they are not."""

    def __init__(self, database: Database, policy: ListPolicy) -> None:
        self._database = database
        self._policy = policy

    async def page(self, owner_id: UUID, limit: int | None, before: int | None) -> Page | None:
        """Return the owner's posts below position `before`, newest first, or `None` if they are too large to hold.

        Raises:
            Unauthenticated: There is no such owner.
        """
        policy = self._policy
        # More posts than this are too many, however short they are.
        max_measured = policy.max_held_bytes // max(policy.overhead_bytes, 1) + 1
        values = {
            "owner_id": owner_id,
            "one_more": (limit or 0) + 1,
            "measured": min(limit or max_measured, max_measured),
            "before": before,
            "max_held": policy.max_held_bytes,
            "overhead": policy.overhead_bytes,
        }
        posts, bounds = _statements(has_limit=limit is not None, has_before=before is not None)
        while not (rows := await self._database.rows_of(owner_id, posts, values)):
            # There are no posts, or too many: this tells which. If posts were added in between, they are read again.
            found = await self._database.first_of(owner_id, bounds, values)
            if found is None:
                raise Unauthenticated
            if found.size > policy.max_held_bytes:
                return None
            if found.size == 0:
                return Page(found.timeline_version, [], None)
        if rows[0].timeline_version is None:
            # The owner is gone, and their posts are not pruned yet.
            raise Unauthenticated
        has_more = limit is not None and len(rows) > limit
        shown = rows[:limit]
        return Page(
            version=rows[0].timeline_version,
            posts=[PostItem(*row[-len(COLUMNS) :]) for row in shown],
            next_cursor=shown[-1].position if has_more else None,
        )

    async def page_in_parts(self, owner_id: UUID, limit: int | None, before: int | None) -> AsyncIterator[Page]:
        """Yield the same posts, of whatever total size, in at least one part. All parts show one version.

        Raises:
            Unauthenticated: There is no such owner.
        """
        async with self._database.snapshot(owner_id) as connection:
            version, next_cursor = await _bounds(connection, owner_id, limit, before)
            yield Page(version, [], next_cursor)
            async for posts in self._newest_first(connection, owner_id, limit, before):
                yield Page(version, posts, next_cursor)

    async def oldest_first(self, connection: AsyncConnection, owner_id: UUID) -> AsyncIterator[list[PostItem]]:
        """Yield all posts, a few at a time."""
        position = col(Post.position)
        after = 0
        while ahead := await self._sizes(connection, _are_after(owner_id, after), position, None):
            for group in groups(ahead, self._policy.part_bytes):
                within = and_(col(Post.user_id) == owner_id, position.between(group[0].position, group[-1].position))
                yield await _items(connection, within, position)
            after = ahead[-1].position

    async def _newest_first(
        self, connection: AsyncConnection, owner_id: UUID, limit: int | None, before: int | None
    ) -> AsyncIterator[list[PostItem]]:
        position = col(Post.position)
        left = limit
        while left is None or left > 0:
            ahead = await self._sizes(connection, _are_wanted(owner_id, before), position.desc(), left)
            if not ahead:
                return
            for group in groups(ahead, self._policy.part_bytes):
                within = and_(col(Post.user_id) == owner_id, position.between(group[-1].position, group[0].position))
                yield await _items(connection, within, position.desc())
            left = None if left is None else left - len(ahead)
            before = ahead[-1].position

    async def _sizes(
        self, connection: AsyncConnection, are_wanted: ColumnElement[bool], order: Any, limit: int | None
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        """Return the positions and sizes of the first wanted posts."""
        at_most = self._policy.part_posts if limit is None else min(limit, self._policy.part_posts)
        statement = select(col(Post.position), col(Post.size)).where(are_wanted).order_by(order).limit(at_most)
        return (await connection.execute(statement)).all()


@cache
def _statements(*, has_limit: bool, has_before: bool) -> tuple[Select[*tuple[Any, ...]], Select[*tuple[Any, ...]]]:
    """Return two statements, built once: to build them takes longer than to run them.

    The first reads the posts, if they are not too large, each with the version that the list shows: one statement is
    one snapshot, and without a join MySQL reads the posts in index order. The second reads that version and the total
    size.
    """
    is_owners = col(User.id) == bindparam("owner_id", type_=UUIDBytes)
    are_wanted = _are_wanted(bindparam("owner_id", type_=UUIDBytes), bindparam("before") if has_before else None)
    newest_first = col(Post.position).desc()
    sizes = select(col(Post.size)).where(are_wanted).order_by(newest_first).limit(bindparam("measured", type_=Integer))
    size = select(
        func.coalesce(func.sum(sizes.subquery().c.size + bindparam("overhead", type_=Integer)), 0)
    ).scalar_subquery()
    version = select(col(User.timeline_version)).where(is_owners).scalar_subquery().label("timeline_version")
    posts = (
        select(version, col(Post.position).label("position"), *COLUMNS)
        .where(are_wanted, size <= bindparam("max_held", type_=Integer))
        .order_by(newest_first)
    )
    if has_limit:
        posts = posts.limit(bindparam("one_more", type_=Integer))
    return posts, select(col(User.timeline_version).label("timeline_version"), size.label("size")).where(is_owners)


async def _bounds(
    connection: AsyncConnection, owner_id: UUID, limit: int | None, before: int | None
) -> tuple[int, int | None]:
    """Return the version that a list shows, and the position that the next page begins below, if there is one."""
    version = await connection.scalar(select(col(User.timeline_version)).where(col(User.id) == owner_id))
    if version is None:
        raise Unauthenticated
    if limit is None:
        return version, None
    last = (
        select(col(Post.position))
        .where(_are_wanted(owner_id, before))
        .order_by(col(Post.position).desc())
        .offset(limit - 1)
        .limit(2)
    )
    positions = (await connection.execute(last)).scalars().all()
    return version, positions[0] if len(positions) > 1 else None


async def _items(connection: AsyncConnection, are_wanted: ColumnElement[bool], order: Any) -> list[PostItem]:
    rows = (await connection.execute(select(*COLUMNS).where(are_wanted).order_by(order))).all()
    return [PostItem(*row) for row in rows]


def groups(ahead: Sequence[Row[*tuple[Any, ...]]], max_bytes: int) -> Iterator[list[Row[*tuple[Any, ...]]]]:
    """Yield neighbours that together are no larger, or one that alone is."""
    group, total = [ahead[0]], ahead[0].size
    for row in ahead[1:]:
        if total + row.size > max_bytes:
            yield group
            group, total = [], 0
        group.append(row)
        total += row.size
    yield group


def _are_wanted(owner_id: Any, before: Any | None) -> ColumnElement[bool]:
    are_owners: ColumnElement[bool] = col(Post.user_id) == owner_id
    return are_owners if before is None else and_(are_owners, col(Post.position) < before)


def _are_after(owner_id: UUID, position: int) -> ColumnElement[bool]:
    return and_(col(Post.user_id) == owner_id, col(Post.position) > position)
