"""Changes after a version: the stored events say which posts changed, and the posts say what they are now."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Integer, Row, Select, and_, bindparam, func, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from app.database.engines import Database
from app.errors import HistoryNotKept, Unauthenticated
from app.storage.by_id import owned_by_id
from app.storage.policy import ListPolicy
from app.storage.post_lists import COLUMNS
from events.types import PostDeletedEvent, PostEvent, decode
from models import Change, Post, PostItem, StoredEvent, User
from models.columns import UUIDBytes

# Of a post that is edited again and again, a page passes over that many edits at once.
_LEAST_EVENTS = 100
_READS_WITHOUT_SNAPSHOT = 2

_Rows = Sequence[Row[*tuple[Any, ...]]]
_Read = Callable[[Select[*tuple[Any, ...]], Mapping[str, Any]], Awaitable[_Rows]]


class ChangesPage(NamedTuple):
    """Posts that changed, each in its newest state, in the order of the versions of their newest changes.

    Every change up to `version` is in this page or in an earlier one. `timeline_version` is the version that the posts
    are shown at.
    """

    version: int
    changes: list[Change]
    timeline_version: int

    @property
    def has_more(self) -> bool:
        """Whether there are changes after `version`."""
        return self.version < self.timeline_version

    def first(self, count: int) -> "ChangesPage":
        """Return the page cut after so many changes, which are at least one and fewer than it has."""
        return self._replace(version=self.changes[count - 1].version, changes=self.changes[:count])


class _Changed(NamedTuple):
    """The newest known event of each changed post, ordered by version, and the version up to which they are complete.

    A later event may have superseded one of them. `posts` are those that were read with the events, in one snapshot at
    `timeline_version`; what was read with them has a size of `posts_size`.
    """

    version: int
    events: list[PostEvent]
    timeline_version: int
    posts: dict[UUID, PostItem]
    posts_size: int

    @property
    def other_ids(self) -> list[UUID]:
        """The ids of the posts that were not read with the events."""
        return [event.post_id for event in self.events if event.post_id not in self.posts]

    def first(self, count: int) -> "_Changed":
        events = self.events[:count]
        return self if len(events) == len(self.events) else self._replace(version=events[-1].version, events=events)

    def page(self, timeline_version: int, posts: Mapping[UUID, PostItem]) -> ChangesPage:
        changes = [
            Change(event.version, event.post_id, posts.get(event.post_id))
            for event in self.events
            if _is_newest(event, posts.get(event.post_id))
        ]
        return ChangesPage(self.version, changes, timeline_version)


class ChangeLists:
    """Reads pages of changes, each as it is at one version of the timeline."""

    def __init__(self, database: Database, policy: ListPolicy) -> None:
        self._database = database
        self._policy = policy

    async def page(self, owner_id: UUID, since: int, version: int, limit: int) -> ChangesPage:
        """Return up to `limit` of the owner's posts that changed after version `since`; fewer if they are large.

        `version` is the timeline's version as far as the caller knows.

        Raises:
            HistoryNotKept: Events after `since` were pruned, or the timeline has not come as far as that.
            Unauthenticated: There is no such owner.
        """
        if since > version:
            raise HistoryNotKept(version)
        if since == version:
            return ChangesPage(version, [], version)

        async def read(statement: Select[*tuple[Any, ...]], values: Mapping[str, Any]) -> _Rows:
            return await self._database.rows_of(owner_id, statement, values)

        # Events never change, so if all posts are at the same version, the page is of one state, and no transaction is
        # needed.
        max_bytes = self._policy.max_held_bytes
        for _ in range(_READS_WITHOUT_SNAPSHOT):
            changed = await self._changed(read, owner_id, since, version, limit, max_bytes=max_bytes)
            if changed.posts_size > max_bytes:
                break
            if changed.timeline_version != version:
                version = changed.timeline_version
                continue
            if not changed.other_ids:
                return changed.page(version, changed.posts)
            left = max_bytes - changed.posts_size
            posts_version, others = await self._posts(read, owner_id, changed.other_ids, left)
            if others is None:
                break
            if posts_version == version:
                return changed.page(version, changed.posts | others)
            version = posts_version
        return await self._page_of_snapshot(owner_id, since, limit)

    async def _page_of_snapshot(self, owner_id: UUID, since: int, limit: int) -> ChangesPage:
        """Return the page however large the posts are, and however often the timeline changes."""
        async with self._database.snapshot(owner_id) as connection:

            async def read(statement: Select[*tuple[Any, ...]], values: Mapping[str, Any]) -> _Rows:
                return (await connection.execute(statement, values)).all()

            version, _ = await self._posts(read, owner_id, [], 0)
            # Without posts, whose sizes decide where the page ends.
            changed = await self._changed(read, owner_id, since, version, limit, max_bytes=-1)
            post_ids = changed.other_ids
            values = {"owner_id": owner_id, "post_ids": post_ids}
            sizes = {row.id: row.size + self._policy.overhead_bytes for row in await read(_SIZES, values)}
            count = total = 0
            for post_id in post_ids:
                size = sizes.get(post_id, 0)
                if count and total + size > self._policy.max_held_bytes:
                    break
                count, total = count + 1, total + size
            changed = changed.first(count)
            _, posts = await self._posts(read, owner_id, changed.other_ids, total)
            return changed.page(version, posts or {})

    async def _changed(
        self, read: _Read, owner_id: UUID, since: int, version: int, limit: int, *, max_bytes: int
    ) -> _Changed:
        """Return the events of a page, and with them the posts that they created, if these are not larger than that."""
        last = min(version, since + max(limit, _LEAST_EVENTS))
        values = {
            "owner_id": owner_id,
            "first": since + 1,
            "last": last,
            "last_post": min(last, since + limit),
            "max_bytes": max_bytes,
            "overhead": self._policy.overhead_bytes,
        }
        rows = await read(_EVENTS, values)
        # Versions have no gaps, so if the number is right, all are there.
        if len(rows) != last - since:
            raise HistoryNotKept(version)
        timeline_version, posts_size = rows[0][:2]
        if timeline_version is None:
            raise Unauthenticated
        newest = {event.post_id: event for event in (decode(row[2]) for row in rows)}
        events: list[PostEvent] = sorted(newest.values(), key=lambda event: event.version)
        posts = {row[3]: PostItem(*row[3:]) for row in rows if row[3] is not None}
        return _Changed(last, events, timeline_version, posts, posts_size).first(limit)

    async def _posts(
        self, read: _Read, owner_id: UUID, post_ids: Sequence[UUID], max_bytes: int
    ) -> tuple[int, dict[UUID, PostItem] | None]:
        """Return the timeline's version, and those of the posts that exist: `None` if they are larger than that."""
        values = {
            "owner_id": owner_id,
            "post_ids": post_ids,
            "max_bytes": max_bytes,
            "overhead": self._policy.overhead_bytes,
        }
        rows = await read(_POSTS, values)
        if not rows:
            raise Unauthenticated
        version: int = rows[0].timeline_version
        if rows[0].size > max_bytes:
            return version, None
        return version, {row.postID: PostItem(*row[-len(COLUMNS) :]) for row in rows if row.postID is not None}


def _is_newest(event: PostEvent, post: PostItem | None) -> bool:
    """Return whether no later event is of the same post, of which `event` is the newest on this page."""
    if post is None or isinstance(event, PostDeletedEvent):
        return post is None and isinstance(event, PostDeletedEvent)
    return event.occurred_at >= post.updated_at


def _owner_id() -> Any:
    return bindparam("owner_id", type_=UUIDBytes)


def _post_ids() -> Any:
    return bindparam("post_ids", expanding=True, type_=UUIDBytes)


def _posts_statement() -> Select[*tuple[Any, ...]]:
    """Return what reads the timeline's version and the posts in one snapshot; without posts, the version as one row."""
    measured = aliased(Post)
    size = (
        select(func.coalesce(func.sum(col(measured.size) + bindparam("overhead", type_=Integer)), 0))
        .where(owned_by_id(_owner_id(), _post_ids(), measured))
        .scalar_subquery()
    )
    are_wanted = and_(
        owned_by_id(_owner_id(), _post_ids()),
        size <= bindparam("max_bytes", type_=Integer),
    )
    return (
        select(col(User.timeline_version).label("timeline_version"), size.label("size"), *COLUMNS)
        .select_from(User)
        .outerjoin(Post, are_wanted)
        .where(col(User.id) == _owner_id())
    )


def _events_statement() -> Select[*tuple[Any, ...]]:
    """Return what reads the events with the posts that they created, which are found by position."""
    measured = aliased(Post)
    are_new = col(measured.position).between(bindparam("first"), bindparam("last_post"))
    size = (
        select(func.coalesce(func.sum(col(measured.size) + bindparam("overhead", type_=Integer)), 0))
        .where(col(measured.user_id) == _owner_id(), are_new)
        .scalar_subquery()
    )
    created = and_(
        col(Post.user_id) == _owner_id(),
        col(Post.position) == col(StoredEvent.version),
        col(Post.position) <= bindparam("last_post"),
        size <= bindparam("max_bytes", type_=Integer),
    )
    version = select(col(User.timeline_version)).where(col(User.id) == _owner_id()).scalar_subquery()
    return (
        select(version, size, col(StoredEvent.payload), *COLUMNS)
        .select_from(StoredEvent)
        .outerjoin(Post, created)
        .where(
            col(StoredEvent.user_id) == _owner_id(),
            col(StoredEvent.version).between(bindparam("first"), bindparam("last")),
        )
        .order_by(col(StoredEvent.version))
    )


# Statements are built once: to build them takes longer than to run them.
_EVENTS = _events_statement()
_SIZES: Select[*tuple[Any, ...]] = select(col(Post.id), col(Post.size)).where(owned_by_id(_owner_id(), _post_ids()))
_POSTS = _posts_statement()
