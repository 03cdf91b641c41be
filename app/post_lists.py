"""The queries of lists of posts, whole where they are small, in parts where they are not."""

from collections.abc import AsyncIterator, Iterator, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Row, Select, and_, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from app.database import Database
from app.errors import Unauthenticated
from app.ports.reads import Page
from models import Post, PostItem, User
from models.columns import UUIDBytes

# What is held of a list: all of it where it is no larger, or else so much text, so many posts, or a single one.
_HELD_WHOLE_BYTES = 4_194_304
_HELD_BYTES = 2_097_152
_POSTS_AT_A_TIME = 1024
# What a post costs besides its text.
_OVERHEAD_BYTES = 500
# More posts are too many in any case.
_MEASURED_POSTS = _HELD_WHOLE_BYTES // _OVERHEAD_BYTES + 1

# The fields of `PostItem`, in their order.
COLUMNS: tuple[Any, ...] = (
    col(Post.id).label("postID"),
    col(Post.text),
    col(Post.created_at),
    col(Post.updated_at),
    col(Post.version),
)


async def page(database: Database, owner_id: UUID, limit: int | None, before: int | None) -> Page | None:
    """See `app.ports.reads.Reads.page`."""
    values = {
        "owner_id": owner_id,
        "one_more": (limit or 0) + 1,
        "measured": min(limit or _MEASURED_POSTS, _MEASURED_POSTS),
        "before": before,
        "most": _HELD_WHOLE_BYTES,
        "overhead": _OVERHEAD_BYTES,
    }
    posts, bounds = _statements(has_limit=limit is not None, has_before=before is not None)
    while not (rows := await database.rows(posts, values)):
        # There are none, or too many: this tells which. If posts came in between, they are asked for again.
        found = next(iter(await database.rows(bounds, values)), None)
        if found is None:
            raise Unauthenticated
        if found.size > _HELD_WHOLE_BYTES:
            return None
        if found.size == 0:
            return Page(found.timeline_version, [], None)
    if rows[0].timeline_version is None:
        # Posts may be there for a while after their owner.
        raise Unauthenticated
    has_more = limit is not None and len(rows) > limit
    shown = rows[:limit]
    return Page(
        version=rows[0].timeline_version,
        posts=[PostItem(*row[-len(COLUMNS) :]) for row in shown],
        next_cursor=shown[-1].position if has_more else None,
    )


@cache
def _statements(*, has_limit: bool, has_before: bool) -> tuple[Select[*tuple[Any, ...]], Select[*tuple[Any, ...]]]:
    """Return two statements, made once, for putting them together takes longer than to run them.

    The first reads the posts, unless they are too large, and with each the version that they show: one statement is
    one snapshot, and without a join MySQL reads them in the index's order. The second reads that version and the size.
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
        .where(are_wanted, size <= bindparam("most", type_=Integer))
        .order_by(newest_first)
    )
    if has_limit:
        posts = posts.limit(bindparam("one_more", type_=Integer))
    return posts, select(col(User.timeline_version).label("timeline_version"), size.label("size")).where(is_owners)


async def bounds(
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


async def newest_first(
    connection: AsyncConnection, owner_id: UUID, limit: int | None, before: int | None
) -> AsyncIterator[list[PostItem]]:
    """Yield the list, a few posts at a time."""
    position = col(Post.position)
    left = limit
    while left is None or left > 0:
        ahead = await _sizes(connection, _are_wanted(owner_id, before), position.desc(), left)
        if not ahead:
            return
        for group in _groups(ahead):
            within = and_(col(Post.user_id) == owner_id, position.between(group[-1].position, group[0].position))
            yield await _items(connection, within, position.desc())
        left = None if left is None else left - len(ahead)
        before = ahead[-1].position


async def oldest_first(connection: AsyncConnection, owner_id: UUID) -> AsyncIterator[list[PostItem]]:
    """Yield all posts, a few at a time."""
    position = col(Post.position)
    after = 0
    while ahead := await _sizes(connection, and_(col(Post.user_id) == owner_id, position > after), position, None):
        for group in _groups(ahead):
            within = and_(col(Post.user_id) == owner_id, position.between(group[0].position, group[-1].position))
            yield await _items(connection, within, position)
        after = ahead[-1].position


async def _sizes(
    connection: AsyncConnection, are_wanted: ColumnElement[bool], order: Any, limit: int | None
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return the positions and sizes of the first wanted posts."""
    at_most = _POSTS_AT_A_TIME if limit is None else min(limit, _POSTS_AT_A_TIME)
    statement = select(col(Post.position), col(Post.size)).where(are_wanted).order_by(order).limit(at_most)
    return (await connection.execute(statement)).all()


def _groups(ahead: Sequence[Row[*tuple[Any, ...]]]) -> Iterator[list[Row[*tuple[Any, ...]]]]:
    """Yield neighbours that may be held at once."""
    group, total = [ahead[0]], ahead[0].size
    for row in ahead[1:]:
        if total + row.size > _HELD_BYTES:
            yield group
            group, total = [], 0
        group.append(row)
        total += row.size
    yield group


async def _items(connection: AsyncConnection, are_wanted: ColumnElement[bool], order: Any) -> list[PostItem]:
    rows = (await connection.execute(select(*COLUMNS).where(are_wanted).order_by(order))).all()
    return [PostItem(*row) for row in rows]


def _are_wanted(owner_id: Any, before: Any | None) -> ColumnElement[bool]:
    are_owners: ColumnElement[bool] = col(Post.user_id) == owner_id
    return are_owners if before is None else and_(are_owners, col(Post.position) < before)
