"""Pages of changes: each of one snapshot, and read in a time that the timeline's length does not stretch."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Row, Select, column, insert, text, update
from sqlmodel import col
from uuid_utils.compat import uuid7

from app.database.engines import Database
from app.errors import HistoryNotKept, Unauthenticated
from app.storage import changes
from app.storage import posts as stored_posts
from app.storage.policy import ListPolicy
from app.storage.queries import DatabaseQueries
from events.types import PostCreatedEvent
from models import Post, PostCreate, PostUpdate, StoredEvent, User
from models.columns import now
from tests.integration.ledger import Ledger

MANY = 100_000
DRAFT = PostCreate(text="hello")


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


def write_between(ledger: Ledger, owner_id: UUID, monkeypatch: pytest.MonkeyPatch, *, times: int) -> list[UUID]:
    """Add a post after each of so many reads of events, and return the list of their ids."""
    rows_of, added = ledger.database.rows_of, list[UUID]()

    async def rows_and_a_change(
        reader: UUID, statement: Select[Any], values: Mapping[str, Any] | None = None
    ) -> Sequence[Row[Any]]:
        rows = await rows_of(reader, statement, values)
        if statement is changes._EVENTS and len(added) < times:
            added.append((await ledger.posts.create(owner_id, DRAFT)).post_id)
        return rows

    monkeypatch.setattr(ledger.database, "rows_of", rows_and_a_change)
    return added


@pytest.mark.parametrize("times", [1, 2, 10])
async def test_a_page_is_of_one_snapshot_whatever_is_written_meanwhile(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    user_id = await ledger.add_user()
    first = (await ledger.posts.create(user_id, DRAFT)).post_id
    # An edited post is read after its event, unlike one that is new.
    await ledger.posts.update(user_id, first, PostUpdate(text="again"))
    added = write_between(ledger, user_id, monkeypatch, times=times)

    page = await ledger.queries.changes(user_id, 1, 2, 1000)

    assert (page.version, page.has_more) == (page.timeline_version, False)
    assert page.timeline_version == 2 + len(added)
    assert [change.postID for change in page.changes] == [first, *added]


async def test_a_page_is_of_the_newest_version_whatever_the_caller_knows(ledger: Ledger) -> None:
    user_id = await ledger.add_user()
    added = [(await ledger.posts.create(user_id, DRAFT)).post_id for _ in range(3)]

    page = await ledger.queries.changes(user_id, 0, 1, 1000)

    assert (page.version, page.timeline_version, page.has_more) == (3, 3, False)
    assert [change.postID for change in page.changes] == added


async def test_history_that_is_pruned_meanwhile_is_not_kept(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    user_id = await ledger.add_user()
    for _ in range(3):
        await ledger.posts.create(user_id, DRAFT)
    async with ledger.database.writer.begin() as connection:
        is_old = col(StoredEvent.version) <= 2
        await connection.execute(update(StoredEvent).where(is_old).values(occurred_at=now() - timedelta(days=31)))
        # What a durable listener has not taken is kept.
        await connection.execute(update(User).values(undelivered_since=None))
    assert (await ledger.queries.changes(user_id, 0, 3, 1000)).version == 3

    assert await ledger.pruner.prune() == 2

    for since in (0, 1):
        with pytest.raises(HistoryNotKept):
            await ledger.queries.changes(user_id, since, 3, 1000)
    assert [change.version for change in (await ledger.queries.changes(user_id, 2, 3, 1000)).changes] == [3]


async def test_an_edit_is_the_newest_although_the_clock_went_back(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id = await ledger.add_user()
    post_id = (await ledger.posts.create(user_id, DRAFT)).post_id
    monkeypatch.setattr("models.post.now", lambda: now() - timedelta(hours=1))

    await ledger.posts.update(user_id, post_id, PostUpdate(text="again"))

    page = await ledger.queries.changes(user_id, 0, 2, 1)
    assert [(change.version, change.post and change.post.text) for change in page.changes] == [(2, "again")]


async def test_an_owner_who_is_gone_has_no_changes(ledger: Ledger) -> None:
    user_id = await ledger.add_user()
    await ledger.posts.create(user_id, DRAFT)
    async with ledger.transactions.begin() as unit:
        await unit.users.delete(await unit.users.lock(user_id))
        await unit.commit()

    with pytest.raises((Unauthenticated, HistoryNotKept)):
        await ledger.queries.changes(user_id, 0, 1, 10)


async def fill(ledger: Ledger, owner_id: UUID) -> None:
    """Give the owner many posts, as if each had been added alone."""
    at = now()
    async with ledger.database.writer.begin() as connection:
        for begin in range(1, MANY + 1, 5000):
            created = [
                PostCreatedEvent(user_id=owner_id, version=version, post_id=uuid7(), occurred_at=at)
                for version in range(begin, begin + 5000)
            ]
            posts = [
                {"id": event.post_id, "user_id": owner_id, "text": "hello", "size": 5, "position": event.version}
                | {"version": 1, "created_at": at, "updated_at": at}
                for event in created
            ]
            await connection.execute(insert(StoredEvent), list(map(StoredEvent.values_of, created)))
            await connection.execute(insert(Post), posts)
        await connection.execute(update(User).where(col(User.id) == owner_id).values(timeline_version=MANY))


async def rows_examined(database: Database) -> int:
    """Return how many rows MariaDB has looked at for the only connection of this pool."""
    statement = text("SHOW SESSION STATUS LIKE 'Handler_read%'").columns(column("name"), column("value"))
    async with database.reading() as connection:
        counts: Sequence[str] = (await connection.execute(statement)).scalars("value").all()
    return sum(map(int, counts))


async def test_few_changes_among_many_posts_are_read_by_their_keys(database: Database) -> None:
    ledger = Ledger(database)
    user_id = await ledger.add_user()
    await fill(ledger, user_id)
    one = Database(database.url, pool_size=1)
    queries = DatabaseQueries(one, ListPolicy())

    try:
        for since, limit, expected in ((MANY - 10, 1000, 10), (0, 10, 10), (MANY // 2, 10, 10), (0, 1000, 1000)):
            before = 0 if database.is_sqlite else await rows_examined(one)
            page = await queries.changes(user_id, since, MANY, limit)
            examined = 0 if database.is_sqlite else await rows_examined(one) - before

            assert [change.version for change in page.changes] == list(range(since + 1, since + 1 + expected))
            # At least a hundred events, and their posts. Of a thousand keys MariaDB makes a temporary table.
            assert examined < 10 * max(expected, 100)
    finally:
        await one.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("statement", [changes._EVENTS, changes._POSTS, changes._SIZES, stored_posts._EXISTING])
@pytest.mark.parametrize("count", [1, 100])
async def test_sqlite_finds_changes_and_posts_by_their_indexes(
    database: Database, statement: Select[Any], count: int
) -> None:
    post_ids = [uuid7() for _ in range(count)]
    values = {"owner_id": uuid7(), "post_ids": post_ids, "first": 1, "last": 2, "max_bytes": 1, "overhead": 1}
    compiled = statement.params(values).compile(
        dialect=database.reader.dialect, compile_kwargs={"render_postcompile": True}
    )

    async with database.reading() as connection:
        parameters = tuple(0 for _ in compiled.positiontup or ())
        rows = (await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled.string}", parameters)).all()

    described = str(rows)
    assert "SEARCH" in described
    assert "SCAN" not in described, described
    assert "TEMP B-TREE" not in described, described
    # It would read all of the owner's posts.
    assert "(user_id=?)" not in described, described
