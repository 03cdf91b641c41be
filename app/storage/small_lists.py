"""Whole lists that are small: those of several owners are read in one statement, which costs little more than one."""

from collections import defaultdict
from collections.abc import Sequence
from operator import itemgetter
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, LargeBinary, Row, bindparam, case, func, select, type_coerce
from sqlalchemy.orm import aliased
from sqlmodel import col

from app.database.engines import Database
from app.storage.policy import ListPolicy
from app.storage.post_lists import COLUMNS, Page
from models import Post, PostItem, User
from models.columns import UUIDBytes


async def small_lists(database: Database, policy: ListPolicy, owner_ids: Sequence[UUID]) -> list[Page | None]:
    """Return each owner's posts, newest first, in one statement.

    It is `None` for an owner who is gone, or whose list is not small; to read that takes a statement of its own.
    """
    values = {"owner_ids": set(owner_ids), "max_posts": policy.small_posts, "max_bytes": policy.small_bytes}
    lists = defaultdict[bytes, list[Row[*tuple[Any, ...]]]](list)
    for row in await database.rows(_LISTS, values):
        lists[row[0]].append(row)
    pages = {owner_id: _page(rows) for owner_id, rows in lists.items()}
    return [pages.get(owner_id.bytes) for owner_id in owner_ids]


def _page(rows: list[Row[*tuple[Any, ...]]]) -> Page:
    _, version, position, *_ = rows[0]
    if position is None:
        return Page(version, [], None)
    rows.sort(key=itemgetter(2), reverse=True)
    return Page(version, [PostItem(*row[3:]) for row in rows], None)


def _statement() -> Any:
    """Return what reads each owner's version and posts in one snapshot, an owner without posts as one row."""
    counted, measured = aliased(Post), aliased(Post)
    one_too_many = (
        select(col(counted.position))
        .where(col(counted.user_id) == col(User.id))
        .order_by(col(counted.position))
        .limit(1)
        .offset(bindparam("max_posts", type_=BigInteger))
    ).scalar_subquery()
    bytes_of_text = (
        select(func.coalesce(func.sum(col(measured.size)), 0))
        .where(col(measured.user_id) == col(User.id))
        .scalar_subquery()
    )
    # Only if there are few posts: to add up very many sizes would take long.
    size = case((one_too_many.is_(None), bytes_of_text))
    # Ids stay as they are stored, because one comes with each post. The result is not ordered here: in an order that no
    # index has, MySQL would sort the posts with their texts.
    return (
        select(type_coerce(col(User.id), LargeBinary), col(User.timeline_version), col(Post.position), *COLUMNS)
        .select_from(User)
        .outerjoin(Post, col(Post.user_id) == col(User.id))
        .where(
            col(User.id).in_(bindparam("owner_ids", expanding=True, type_=UUIDBytes)),
            size <= bindparam("max_bytes", type_=BigInteger),
        )
    )


_LISTS = _statement()
