"""Every model, written to and read from both kinds of database."""

import traceback
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import URL, func, select
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel
from uuid_utils.compat import uuid7

from app.database.engines import Database
from app.storage import post_lists
from models import Post, Session, StoredEvent, User
from tests.factories import TEXTS, PostFactory, SessionFactory, UserFactory, stored_event
from tests.service import service_on


async def save(database: Database, *rows: SQLModel) -> None:
    async with database.writing() as session:
        for row in rows:
            session.add(row)
            await session.flush()
        await session.commit()


async def load(database: Database, model: type[SQLModel], key: Any) -> dict[str, Any]:
    async with database.writing() as session:
        row = await session.get(model, key)
        assert row is not None
        return row.model_dump()


async def count(database: Database, model: type[SQLModel]) -> int:
    async with database.reading() as connection:
        return (await connection.execute(select(func.count()).select_from(model))).scalar_one()


async def test_a_user_is_read_as_written(database: Database) -> None:
    user = UserFactory.build(timeline_version=2**40)
    expected = user.model_dump()
    await save(database, user)

    assert await load(database, User, user.id) == expected


@pytest.mark.parametrize("text", [*TEXTS, "🦆" * 262_000])
async def test_a_post_is_read_as_written_whatever_its_text(database: Database, text: str) -> None:
    user = UserFactory.build()
    post = PostFactory.build(user_id=user.id, text=text, position=2**40)
    expected = post.model_dump()
    await save(database, user, post)

    assert await load(database, Post, post.id) == expected


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
@pytest.mark.parametrize("query", [{}, {"charset": "utf8"}, {"charset": "latin1"}])
async def test_every_text_can_be_written_whatever_charset_the_url_names(
    database_url: URL, query: dict[str, str]
) -> None:
    database = Database(database_url.set(query=query), pool_size=1)
    user = UserFactory.build()
    post = PostFactory.build(user_id=user.id, text="🦆")
    try:
        await save(database, user, post)
        assert (await load(database, Post, post.id))["text"] == "🦆"
    finally:
        await database.close()


async def test_a_session_is_read_as_written(database: Database) -> None:
    user = UserFactory.build()
    session = SessionFactory.build(user_id=user.id)
    expected = session.model_dump()
    await save(database, user, session)

    assert await load(database, Session, session.id) == expected


async def test_an_event_is_read_as_written(database: Database) -> None:
    user = UserFactory.build()
    event = stored_event(user.id, version=1)
    expected = event.model_dump()
    await save(database, user, event)

    assert await load(database, StoredEvent, (user.id, 1)) == expected


async def test_times_are_kept_in_utc_to_the_microsecond(database: Database) -> None:
    in_india = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    user = UserFactory.build(created_at=in_india)
    await save(database, user)

    created_at = (await load(database, User, user.id))["created_at"]
    assert created_at == in_india
    assert created_at.tzinfo == UTC


async def test_a_user_takes_all_they_own_along(database: Database) -> None:
    ada, bob = UserFactory.build(), UserFactory.build()
    for user in (ada, bob):
        await save(
            database,
            user,
            PostFactory.build(user_id=user.id),
            SessionFactory.build(user_id=user.id),
            stored_event(user.id, version=1),
        )

    async with service_on(database).transactions.begin() as unit:
        await unit.users.delete(await unit.users.lock(ada.id))
        await unit.commit()

    assert [await count(database, model) for model in (User, Post, Session, StoredEvent)] == [1, 1, 1, 1]


async def test_no_session_is_nobodys(database: Database) -> None:
    with pytest.raises(IntegrityError):
        await save(database, SessionFactory.build(user_id=uuid7()))


async def test_an_address_belongs_to_one_user(database: Database) -> None:
    user = UserFactory.build()
    await save(database, user)

    with pytest.raises(IntegrityError):
        await save(database, UserFactory.build(email=user.email))


async def test_an_error_does_not_repeat_what_was_written(database: Database) -> None:
    user = UserFactory.build(email="hunter2@example.com")
    await save(database, user)

    with pytest.raises(IntegrityError) as refused:
        await save(database, UserFactory.build(email=user.email))

    told = "".join(traceback.format_exception(refused.value))
    assert "hunter2" not in told
    assert "IntegrityError: " + ("UNIQUE constraint failed" if database.is_sqlite else "1062") in told


async def test_addresses_that_differ_in_an_accent_are_two(database: Database) -> None:
    await save(database, UserFactory.build(email="jose@example.com"), UserFactory.build(email="josé@example.com"))

    assert await count(database, User) == 2


async def test_a_position_in_a_timeline_is_taken_once(database: Database) -> None:
    user = UserFactory.build()
    await save(database, user, PostFactory.build(user_id=user.id, position=1))

    with pytest.raises(IntegrityError):
        await save(database, PostFactory.build(user_id=user.id, position=1))


async def test_a_version_has_one_event(database: Database) -> None:
    user = UserFactory.build()
    await save(database, user, stored_event(user.id, version=1))

    with pytest.raises(IntegrityError):
        await save(database, stored_event(user.id, version=1))


async def test_the_newest_posts_of_a_user_are_read_in_the_order_of_the_index(database: Database) -> None:
    # Where one user has most of a table, a server may rather read all of it.
    user, *others = (UserFactory.build() for _ in range(10))
    for each in (user, *others):
        await save(database, each, *(PostFactory.build(user_id=each.id, position=n) for n in range(1, 101)))
    statement, _ = post_lists._statements(has_limit=True, has_before=False)
    compiled = statement.compile(dialect=database.reader.dialect)
    values = {"owner_id": user.id.bytes, "limit": 10, "one_more": 11, "most": 1_000_000, "overhead": 0}

    async with database.reading() as connection:
        await connection.exec_driver_sql("ANALYZE" if database.is_sqlite else "ANALYZE TABLE posts")
        plan = ("EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN FORMAT=TRADITIONAL ") + compiled.string
        parameters = tuple(values.get(name, 0) for name in compiled.positiontup or ())
        rows = (await connection.exec_driver_sql(plan, parameters)).all()

    # A row of many columns is shortened where it is shown itself.
    described = str([tuple(row) for row in rows])
    assert ("posts_user_id_position" in described) or ("sqlite_autoindex_posts" in described), described
    # Sorting a million posts to show ten takes seconds.
    assert "filesort" not in described
    assert "TEMP B-TREE" not in described
