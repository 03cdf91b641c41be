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
_HELD_WHOLE = 4_194_304
_CHARACTERS_AT_ONCE = 2_097_152
_POSTS_AT_A_TIME = 1024
# What a post costs besides its text.
_OVERHEAD = 500

# The fields of `PostItem`, in their order.
COLUMNS: tuple[Any, ...] = (
    col(Post.id).label("postID"),
    col(Post.text),
    col(Post.created_at),
    col(Post.updated_at),
    col(Post.version),
)


async def page(database: Database, owner_id: UUID, limit: int | None, before: int | None) -> Page | None:
    """See `app.ports.Reads.page`."""
    values = {
        "owner_id": owner_id,
        "limit": limit,
        "one_more": (limit or 0) + 1,
        "before": before,
        "most": _HELD_WHOLE,
        "overhead": _OVERHEAD,
    }
    posts, bounds = _page(has_limit=limit is not None, has_before=before is not None)
    while not (rows := await database.rows(posts, values)):
        # There are none, or too many: this tells which. If posts came in between, they are asked for again.
        found = next(iter(await database.rows(bounds, values)), None)
        if found is None:
            raise Unauthenticated
        if found.size > _HELD_WHOLE:
            return None
        if found.size == 0:
            return Page(found.timeline_version, [], None)
    has_more = limit is not None and len(rows) > limit
    shown = rows[:limit]
    return Page(
        version=rows[0].timeline_version,
        posts=[PostItem(*row[-len(COLUMNS) :]) for row in shown],
        next_cursor=shown[-1].position if has_more else None,
    )


@cache
def _page(*, has_limit: bool, has_before: bool) -> tuple[Select[*tuple[Any, ...]], Select[*tuple[Any, ...]]]:
    """Return two statements, made once, for putting them together takes longer than to run them.

    The first reads the posts, unless they are too large, and with each the version that they show: one statement is
    one snapshot, and without a join MySQL reads them in the index's order. The second reads that version and the size.
    """
    is_owners = col(User.id) == bindparam("owner_id", type_=UUIDBytes)
    are_wanted = [col(Post.user_id) == bindparam("owner_id", type_=UUIDBytes)]
    if has_before:
        are_wanted.append(col(Post.position) < bindparam("before"))
    newest_first = col(Post.position).desc()
    sizes = select(func.length(col(Post.text)).label("size")).where(*are_wanted)
    if has_limit:
        sizes = sizes.order_by(newest_first).limit(bindparam("limit", type_=Integer))
    size = select(
        func.coalesce(func.sum(sizes.subquery().c.size + bindparam("overhead", type_=Integer)), 0)
    ).scalar_subquery()
    version = select(col(User.timeline_version)).where(is_owners).scalar_subquery().label("timeline_version")
    posts = (
        select(version, col(Post.position).label("position"), *COLUMNS)
        .where(*are_wanted, size <= bindparam("most", type_=Integer))
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
        .where(col(Post.user_id) == owner_id, _is_below(before))
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
        wanted = and_(col(Post.user_id) == owner_id, _is_below(before))
        ahead = await _sizes(connection, wanted, position.desc(), left)
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
    """Return the positions and sizes of the first wanted posts: each size is asked for once, for it costs a read."""
    at_most = _POSTS_AT_A_TIME if limit is None else min(limit, _POSTS_AT_A_TIME)
    size = func.length(col(Post.text)).label("size")
    statement = select(col(Post.position), size).where(are_wanted).order_by(order).limit(at_most)
    return (await connection.execute(statement)).all()


def _groups(ahead: Sequence[Row[*tuple[Any, ...]]]) -> Iterator[list[Row[*tuple[Any, ...]]]]:
    """Yield neighbours that may be held at once."""
    group, total = [ahead[0]], ahead[0].size
    for row in ahead[1:]:
        if total + row.size > _CHARACTERS_AT_ONCE:
            yield group
            group, total = [], 0
        group.append(row)
        total += row.size
    yield group


async def _items(connection: AsyncConnection, are_wanted: ColumnElement[bool], order: Any) -> list[PostItem]:
    rows = (await connection.execute(select(*COLUMNS).where(are_wanted).order_by(order))).all()
    return [PostItem(*row) for row in rows]


def _is_below(before: int | None) -> ColumnElement[bool]:
    return and_(True, *([] if before is None else [col(Post.position) < before]))
