"""Lists of those posts that have a text in them, or were created in a period.

The owner's posts are read and looked through here, a few at a time: docs/decisions/0033-search.md says why.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Integer, Row, Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from app.database.engines import Database
from app.errors import SearchTimedOut, Unauthenticated
from app.storage.folding import Term
from app.storage.policy import ListPolicy
from app.storage.post_lists import COLUMNS, Page, groups
from models import Post, PostItem, User
from models.columns import UUIDBytes

_ABOVE_ALL = 2**63 - 1


@dataclass(frozen=True)
class Criteria:
    """Which posts are wanted: with this text in them, created after one time and before another one."""

    text: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None

    @property
    def are_of_time(self) -> bool:
        """Whether it matters when a post was created."""
        return self.created_after is not None or self.created_before is not None

    def include(self, created_at: datetime) -> bool:
        """Return whether a post of this time is wanted."""
        return (self.created_after is None or created_at > self.created_after) and (
            self.created_before is None or created_at < self.created_before
        )


class _Match(NamedTuple):
    position: int
    size: int
    post: PostItem


class _Part(NamedTuple):
    """What was found among some neighbours. `searched_to` is the position of the last one, unless it is the oldest.

    `is_late` says that the search has taken as long as it may, without the wait for its turn.
    """

    version: int
    matches: Sequence[_Match]
    searched_to: int | None
    is_late: bool


class Searches:
    """Reads lists of posts that meet criteria, newest first."""

    def __init__(self, database: Database, policy: ListPolicy) -> None:
        self._database = database
        self._policy = policy

    async def page(
        self, owner_id: UUID, criteria: Criteria, limit: int | None, before: int | None
    ) -> tuple[Page, AsyncGenerator[Page] | None]:
        """Return the owner's posts below position `before` that meet the criteria, and what reads the rest.

        With a limit, there is no rest. The page ends where it has so many posts, is as large as may be held, or has
        taken as long as a search may. Without one, there is a rest if the posts are too large to hold. All parts show
        one version.

        Raises:
            Unauthenticated: There is no such owner.
            SearchTimedOut: There is no limit, and the search took too long.
        """
        found, held, version = list[_Match](), 0, 0
        parts = self._parts(owner_id, criteria, before)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(aclosing(parts))
            async for version, matches, searched_to, is_late in parts:
                for match in matches:
                    size = match.size + self._policy.overhead_bytes
                    is_full = len(found) == limit or held + size > self._policy.max_held_bytes
                    if limit is not None and found and is_full:
                        return _page(version, found, found[-1].position), None
                    found.append(match)
                    held += size
                if searched_to is None:
                    break
                if limit is not None:
                    if len(found) == limit or is_late:
                        return _page(version, found, searched_to), None
                elif held > self._policy.max_held_bytes:
                    stack.pop_all()
                    return _page(version, found, None), _pages(parts)
                elif is_late:
                    raise SearchTimedOut
        return _page(version, found, None), None

    async def _parts(self, owner_id: UUID, criteria: Criteria, before: int | None) -> AsyncGenerator[_Part]:
        """Yield what is found, in at least one part."""
        term = None if criteria.text is None else Term(criteria.text)
        ahead_of = _AHEAD_WITH_TIMES if criteria.are_of_time else _AHEAD
        most = self._policy.searched_posts
        values = {"owner_id": owner_id, "before": _ABOVE_ALL if before is None else before, "one_more": most + 1}
        async with self._database.snapshot(owner_id) as connection:
            due_at = monotonic() + self._policy.search_seconds
            version = await connection.scalar(_VERSION, {"owner_id": owner_id})
            if version is None:
                raise Unauthenticated
            are_most = False
            while ahead := (await connection.execute(ahead_of, values)).all():
                ahead, has_more = ahead[:most], len(ahead) > most
                for group in groups(ahead, self._policy.searched_bytes):
                    wanted = [row for row in group if not criteria.are_of_time or criteria.include(row.created_at)]
                    positions = {row.position for row in wanted}
                    if term is None or are_most:
                        matches = await _posts(connection, owner_id, positions, term)
                    else:
                        matches = await _posts_of_texts(connection, owner_id, positions, term)
                    are_most = 2 * len(matches) > len(wanted)
                    position = group[-1].position
                    is_last = position == ahead[-1].position and not has_more
                    yield _Part(version, matches, None if is_last else position, monotonic() >= due_at)
                if not has_more:
                    return
                values["before"] = ahead[-1].position
            yield _Part(version, [], None, is_late=False)


async def _posts_of_texts(
    connection: AsyncConnection, owner_id: UUID, positions: Collection[int], term: Term
) -> list[_Match]:
    """Return the posts at these positions that contain the term, reading more than the text of these only."""
    texts = await _between(connection, owner_id, positions, _TEXTS)
    found = {position: text for position, text in texts if await term.is_in(text)}
    rows = await _between(connection, owner_id, found, _POSTS_WITHOUT_TEXT)
    return [
        _Match(position, size, PostItem(post_id, found[position], *rest)) for position, size, post_id, *rest in rows
    ]


async def _posts(
    connection: AsyncConnection, owner_id: UUID, positions: Collection[int], term: Term | None
) -> list[_Match]:
    """Return the same, reading all of each post: quicker if most of them contain the term, or if there is none."""
    matches = [_match(row) for row in await _between(connection, owner_id, positions, _POSTS)]
    return matches if term is None else [match for match in matches if await term.is_in(match.post.text)]


def _match(row: Row[*tuple[Any, ...]]) -> _Match:
    position, size, *post = row
    return _Match(position, size, PostItem(*post))


async def _between(
    connection: AsyncConnection, owner_id: UUID, positions: Collection[int], statement: Select[*tuple[Any, ...]]
) -> list[Row[*tuple[Any, ...]]]:
    """Return the rows at these positions. Those in between are read too, which is quicker than naming hundreds."""
    if not positions:
        return []
    values = {"owner_id": owner_id, "oldest": min(positions), "newest": max(positions)}
    # By index, which takes a fifth of the time that a name takes.
    return [row for row in (await connection.execute(statement, values)).all() if row[0] in positions]


async def _pages(parts: AsyncIterator[_Part]) -> AsyncGenerator[Page]:
    async for part in parts:
        yield _page(part.version, part.matches, None)


def _page(version: int, matches: Sequence[_Match], next_cursor: int | None) -> Page:
    return Page(version, [match.post for match in matches], next_cursor)


def _newest_first(*columns: Any) -> Select[*tuple[Any, ...]]:
    are_owners = col(Post.user_id) == bindparam("owner_id", type_=UUIDBytes)
    return select(col(Post.position), *columns).where(are_owners).order_by(col(Post.position).desc())


# Built once: to build them takes longer than to run them.
_VERSION = select(col(User.timeline_version)).where(col(User.id) == bindparam("owner_id", type_=UUIDBytes))
_BELOW = col(Post.position) < bindparam("before", type_=BigInteger)
_ONE_MORE = bindparam("one_more", type_=Integer)
_AHEAD = _newest_first(col(Post.size)).where(_BELOW).limit(_ONE_MORE)
_AHEAD_WITH_TIMES = _newest_first(col(Post.size), col(Post.created_at)).where(_BELOW).limit(_ONE_MORE)
_AMONG = col(Post.position).between(bindparam("oldest", type_=BigInteger), bindparam("newest", type_=BigInteger))
_TEXTS = _newest_first(col(Post.text)).where(_AMONG)
_POSTS = _newest_first(col(Post.size), *COLUMNS).where(_AMONG)
_POSTS_WITHOUT_TEXT = _newest_first(col(Post.size), *(each for each in COLUMNS if each.key != "text")).where(_AMONG)
