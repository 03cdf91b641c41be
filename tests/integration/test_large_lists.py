"""Lists that are too large to be held at once: read in parts, all of one snapshot."""

import asyncio
from uuid import UUID

import pytest

from app.database.engines import Database
from app.errors import Unauthenticated
from app.service import Policies
from app.storage.policy import ListPolicy, StoragePolicy
from app.storage.post_lists import Page
from models import PostCreate, PostUpdate
from tests.integration.users import add_user
from tests.service import service_on


class Library:
    """Someone with posts, of whom only a few bytes are held at once."""

    def __init__(self, database: Database, lists: ListPolicy) -> None:
        service = service_on(database, policies=Policies(storage=StoragePolicy(lists=lists)))
        self.queries = service.queries
        self.transactions = service.transactions
        self.posts = service.posts
        self.database = database

    async def add_user(self) -> UUID:
        return await add_user(self.transactions)

    async def write(self, user_id: UUID, *sizes: int) -> None:
        for number, size in enumerate(sizes):
            await self.posts.create(user_id, PostCreate(text=f"{number:02}".ljust(size, "x")))

    async def parts(self, user_id: UUID, limit: int | None = None, before: int | None = None) -> list[Page]:
        return [part async for part in self.queries.page_in_parts(user_id, limit, before)]


@pytest.fixture
def library(database: Database) -> Library:
    return Library(database, ListPolicy(part_bytes=100, max_held_bytes=100, overhead_bytes=0, small_posts=0))


def texts(parts: list[Page]) -> list[str]:
    return [post.text[:2] for part in parts for post in part.posts]


async def test_a_list_is_held_while_it_is_small_and_then_not(library: Library) -> None:
    user_id = await library.add_user()
    await library.write(user_id, 40, 10)
    page = await library.queries.page(user_id, None, None)
    assert page is not None
    assert [post.text[:2] for post in page.posts] == ["01", "00"]

    await library.write(user_id, 80)

    assert await library.queries.page(user_id, None, None) is None
    newest = await library.queries.page(user_id, 1, None)
    assert newest is not None
    assert (newest.version, len(newest.posts), newest.next_cursor) == (3, 1, 3)


async def test_the_parts_hold_every_post_once_and_little_each(library: Library) -> None:
    user_id = await library.add_user()
    await library.write(user_id, 60, 60, 30, 30, 30, 5, 500, 5, 70)

    parts = await library.parts(user_id)

    assert texts(parts) == ["08", "07", "06", "05", "04", "03", "02", "01", "00"]
    assert {part.version for part in parts} == {9}
    assert {part.next_cursor for part in parts} == {None}
    assert all(len(part.posts) <= 1 or sum(len(post.text) for post in part.posts) <= 200 for part in parts)


async def test_a_page_in_parts_ends_where_the_next_begins(library: Library) -> None:
    user_id = await library.add_user()
    await library.write(user_id, *[60] * 7)

    first = await library.parts(user_id, limit=3)
    second = await library.parts(user_id, limit=3, before=first[0].next_cursor)
    third = await library.parts(user_id, limit=3, before=second[0].next_cursor)
    exact = await library.parts(user_id, limit=7)

    assert [texts(parts) for parts in (first, second, third)] == [["06", "05", "04"], ["03", "02", "01"], ["00"]]
    assert (third[0].next_cursor, exact[0].next_cursor) == (None, None)


async def test_what_changes_meanwhile_is_not_in_the_parts(library: Library) -> None:
    user_id = await library.add_user()
    await library.write(user_id, *[60] * 4)
    parts = library.queries.page_in_parts(user_id, None, None)
    seen = [await anext(parts), await anext(parts)]

    oldest = (await library.parts(user_id))[-1].posts[-1]
    await library.posts.delete(user_id, oldest.postID)
    await library.write(user_id, 60)
    await library.posts.update(user_id, seen[1].posts[0].postID, PostUpdate(text="edited"))
    seen += [part async for part in parts]

    assert texts(seen) == ["03", "02", "01", "00"]
    assert {part.version for part in seen} == {4}


async def test_an_empty_list_in_parts_is_one_empty_part(library: Library) -> None:
    user_id = await library.add_user()

    assert await library.parts(user_id) == [Page(version=0, posts=[], next_cursor=None)]
    with pytest.raises(Unauthenticated):
        await library.parts(UUID(int=7))


async def test_readers_that_leave_early_give_their_connections_back(library: Library) -> None:
    user_id = await library.add_user()
    await library.write(user_id, *[60] * 4)

    for _ in range(30):
        parts = library.queries.page_in_parts(user_id, None, None)
        await anext(parts)
        await anext(parts)
        del parts
        await asyncio.sleep(0)

    async with asyncio.timeout(5):
        assert len(texts(await library.parts(user_id))) == 4


async def test_many_posts_are_too_much_to_hold_however_short_they_are(database: Database) -> None:
    library = Library(database, ListPolicy(part_bytes=100, max_held_bytes=100, overhead_bytes=30, small_posts=0))
    user_id = await library.add_user()
    await library.write(user_id, 2, 2, 2)
    assert await library.queries.page(user_id, None, None) is not None

    await library.write(user_id, 2)

    assert await library.queries.page(user_id, None, None) is None
