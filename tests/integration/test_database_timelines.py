"""The look-up of a timeline's version, which every authenticated request waits for, on MariaDB."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import URL, delete, true
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlmodel import col, update

from app.database.driver_pool import DriverPool
from app.database.engines import Database
from app.timelines.database import DatabaseTimelines
from models import Session, User
from models.columns import now
from tests.e2e.server import free_port
from tests.factories import SessionFactory, UserFactory


@pytest.fixture
async def database(migrated_mariadb: URL) -> AsyncIterator[Database]:
    database = Database(migrated_mariadb, pool_size=1)
    yield database
    for model in (Session, User):
        async with database.writer.begin() as connection:
            await connection.execute(delete(model).where(true()))
    await database.close()


@pytest.fixture
async def pool(migrated_mariadb: URL) -> AsyncIterator[DriverPool]:
    pool = DriverPool(migrated_mariadb, 5)
    yield pool
    await pool.close()


@pytest.fixture
def timelines(pool: DriverPool) -> DatabaseTimelines:
    return DatabaseTimelines(pool)


async def stored(database: Database, user: User, *sessions: Session) -> None:
    async with database.writing() as session:
        session.add(user)
        await session.flush()
        session.add_all(sessions)
        await session.commit()


async def test_only_a_live_session_of_the_user_has_a_version(database: Database, timelines: DatabaseTimelines) -> None:
    ada, bob = UserFactory.build(timeline_version=7), UserFactory.build(timeline_version=8)
    live, bobs = SessionFactory.build(user_id=ada.id), SessionFactory.build(user_id=bob.id)
    expired = SessionFactory.build(user_id=ada.id, expires_at=now() - timedelta(seconds=1))
    await stored(database, ada, live, expired)
    await stored(database, bob, bobs)

    asked = [(ada, live.id), (ada, expired.id), (ada, bobs.id), (ada, uuid4()), (bob, bobs.id), (ada, live.id)]
    versions = await asyncio.gather(*(timelines.version(user.id, session_id) for user, session_id in asked))

    assert versions == [7, None, None, None, 8, 7]


async def test_a_commit_is_seen_by_the_next_look_up(database: Database, timelines: DatabaseTimelines) -> None:
    ada = UserFactory.build(timeline_version=0)
    session = SessionFactory.build(user_id=ada.id)
    await stored(database, ada, session)

    for version in range(1, 20):
        async with database.writer.begin() as connection:
            await connection.execute(update(User).where(col(User.id) == ada.id).values(timeline_version=version))
        assert await timelines.version(ada.id, session.id) == version
    async with database.writer.begin() as connection:
        await connection.execute(delete(Session).where(col(Session.id) == session.id))
    assert await timelines.version(ada.id, session.id) is None


async def test_it_needs_no_particular_sql_mode(database: Database, migrated_mariadb: URL) -> None:
    ada = UserFactory.build(timeline_version=7)
    session = SessionFactory.build(user_id=ada.id)
    await stored(database, ada, session)
    modes = "'NO_BACKSLASH_ESCAPES,ANSI_QUOTES,PIPES_AS_CONCAT,ORACLE'"
    pool = DriverPool(migrated_mariadb.update_query_dict({"sql_mode": modes}), 5)

    assert await DatabaseTimelines(pool).version(ada.id, session.id) == 7

    await pool.close()


async def test_a_connection_that_the_server_closed_is_replaced(migrated_mariadb: URL) -> None:
    pool = DriverPool(migrated_mariadb, 5, trusted_seconds=0)
    statement = "SELECT CONNECTION_ID()"
    await asyncio.gather(*(pool.rows("SELECT SLEEP(0.05)") for _ in range(3)))
    [[first]] = await pool.rows(statement)
    [[again]] = await pool.rows(statement)

    with pytest.raises(OperationalError):
        await pool.rows(f"KILL CONNECTION {first}")
    [[replaced]] = await pool.rows(statement)

    assert again == first != replaced
    await pool.close()


async def test_a_connection_closed_while_idle_costs_no_request(migrated_mariadb: URL) -> None:
    pool = DriverPool(migrated_mariadb, 5, trusted_seconds=0)
    await pool.rows("SET SESSION wait_timeout = 1")
    await asyncio.sleep(1.5)

    assert await pool.rows("SELECT 1") == ((1,),)
    await pool.close()


async def test_an_old_connection_is_replaced(migrated_mariadb: URL) -> None:
    pool = DriverPool(migrated_mariadb, 5, recycle_seconds=0)

    [[first]] = await pool.rows("SELECT CONNECTION_ID()")
    [[second]] = await pool.rows("SELECT CONNECTION_ID()")

    assert second != first
    await pool.close()


async def test_an_answer_that_comes_late_is_not_the_next_statements(migrated_mariadb: URL) -> None:
    pool = DriverPool(migrated_mariadb, 2)

    with pytest.raises(OperationalError):
        await pool.rows("SELECT SLEEP(2.5), 'late'")
    assert await pool.rows("SELECT 'next'") == (("next",),)
    await asyncio.sleep(1)
    assert await pool.rows("SELECT 'last'") == (("last",),)

    await pool.close()


async def test_a_call_that_is_cancelled_leaves_no_answer_for_the_next(pool: DriverPool) -> None:
    for wait in (0, 0.001, 0.01, 0.05):
        call = asyncio.create_task(pool.rows("SELECT SLEEP(0.02), 'cancelled'"))
        await asyncio.sleep(wait)
        call.cancel()
        await asyncio.wait({call})

        assert await pool.rows("SELECT 'next'") == (("next",),)
    assert pool.in_use == 0


async def test_statements_wait_for_one_of_a_few_connections(pool: DriverPool) -> None:
    calls = [asyncio.create_task(pool.rows("SELECT CONNECTION_ID(), SLEEP(0.5)")) for _ in range(20)]
    while pool.in_use < pool.size:  # noqa: ASYNC110 - they are taken by other tasks
        await asyncio.sleep(0)

    connections = {rows[0][0] for rows in await asyncio.gather(*calls)}

    assert len(connections) == pool.size
    assert pool.in_use == 0


async def test_a_wait_for_a_connection_ends_in_time(migrated_mariadb: URL) -> None:
    pool = DriverPool(migrated_mariadb, 1)
    calls = (pool.rows("SELECT SLEEP(60)") for _ in range(2 * pool.size))

    async with asyncio.timeout(30):
        failures = await asyncio.gather(*calls, return_exceptions=True)

    assert {type(failure) for failure in failures} == {OperationalError}


async def test_a_server_that_is_not_there_is_an_operational_error(migrated_mariadb: URL) -> None:
    pool = DriverPool(migrated_mariadb.set(port=free_port()), 5)

    with pytest.raises(OperationalError):
        await DatabaseTimelines(pool).version(uuid4(), uuid4())


async def test_a_table_that_is_missing_is_a_programming_error(pool: DriverPool) -> None:
    with pytest.raises(ProgrammingError):
        await pool.rows("SELECT 1 FROM no_such_table")
