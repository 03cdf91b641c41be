"""Servers whose administrators have set what a session begins with, or what no session can change."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlmodel import select

from app.application import create_app
from app.database import schema
from app.database.driver_pool import DriverPool
from app.database.engines import Database
from app.database.server_settings import check_server_settings
from app.errors import ConfigurationError
from events.types import decode
from models import StoredEvent
from tests.api.conftest import serve
from tests.api.people import Person
from tests.conftest import settings_for
from tests.mariadb_server import MariaDBServer, mariadb_server

_MODE = "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION"

# Each byte that a driver escapes, and what some modes read in another way.
_TEXT = "\\ ' \" ` % _ \n \r \x1a || -- 日本語 👩‍👩‍👧‍👦"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDBServer]:
    with mariadb_server(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture
def empty_database(server: MariaDBServer) -> Iterator[None]:
    """Empty the server's database first, and put the server's settings back afterwards."""
    server.execute("DROP DATABASE IF EXISTS postline", "CREATE DATABASE postline CHARACTER SET latin1")
    yield
    server.execute(
        "SET GLOBAL init_connect = ''",
        "SET GLOBAL innodb_default_row_format = 'dynamic'",
        "SET GLOBAL max_allowed_packet = 16777216",
    )


def begin_sessions(server: MariaDBServer, assignments: str) -> None:
    # It is run for every user who is no administrator, before what the client sends.
    quoted = assignments.replace("'", "''")
    server.execute(f"SET GLOBAL init_connect = 'SET SESSION {quoted}'")


HOSTILE = [
    "sql_mode = 'NO_BACKSLASH_ESCAPES,STRICT_TRANS_TABLES'",
    "sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES'",
    "sql_mode = 'ORACLE'",
    "sql_mode = 'TRADITIONAL'",
    "sql_mode = 'PAD_CHAR_TO_FULL_LENGTH,HIGH_NOT_PRECEDENCE,IGNORE_SPACE,PIPES_AS_CONCAT,NO_UNSIGNED_SUBTRACTION'",
    "sql_mode = ''",
    "sql_safe_updates = 1",
    "sql_select_limit = 1",
    "sql_big_selects = 0, max_join_size = 1",
    "default_storage_engine = MyISAM",
    "completion_type = 'CHAIN'",
    "completion_type = 'RELEASE'",
    "autocommit = 0",
    "foreign_key_checks = 0, unique_checks = 0",
    "time_zone = '+09:00'",
    "tx_isolation = 'SERIALIZABLE'",
    "character_set_client = latin1, character_set_connection = latin1, character_set_results = latin1",
    "wait_timeout = 2",
]


@pytest.mark.parametrize("assignments", HOSTILE)
@pytest.mark.usefixtures("empty_database")
async def test_it_works_whatever_a_session_begins_with(server: MariaDBServer, tmp_path: Path, assignments: str) -> None:
    await asyncio.to_thread(begin_sessions, server, assignments)
    url = server.url()
    database = Database(url, pool_size=2)
    await schema.upgrade(database)

    async with serve(create_app(settings_for(url, tmp_path))) as client:
        for number in range(8):
            person = await Person.sign_up(client, f"person{number}@example.com")
            for _ in range(3):
                await person.add(_TEXT)
            assert await person.texts() == [_TEXT] * 3
        assert (await client.get("/health/ready")).status_code == 200

    async with database.reading() as connection:
        stored = (await connection.execute(select(StoredEvent.payload))).scalars().all()
        engines = (
            await connection.execute(
                text("SELECT DISTINCT engine FROM information_schema.tables WHERE table_schema = 'postline'")
            )
        ).scalars()
        assert list(engines) == ["InnoDB"]
    assert [decode(payload).type for payload in stored] == ["post.created"] * 24
    await database.close()


@pytest.mark.usefixtures("empty_database")
async def test_every_kind_of_connection_sets_its_own_session(server: MariaDBServer) -> None:
    await asyncio.to_thread(begin_sessions, server, "sql_mode = 'NO_BACKSLASH_ESCAPES', sql_safe_updates = 1")
    statement = "SELECT @@sql_mode, @@sql_safe_updates, @@time_zone"
    expected = (_MODE, 0, "+00:00")

    url = server.url().update_query_dict({"sql_mode": "'NO_BACKSLASH_ESCAPES'"})
    for answer_seconds in (None, 5):
        database = Database(url, pool_size=1, answer_seconds=answer_seconds)
        for engine in database.engines.values():
            async with engine.connect() as connection:
                assert tuple((await connection.execute(text(statement))).one()) == expected
        await database.close()
    pool = DriverPool(url, 5)
    assert [tuple(row) for row in await pool.rows(statement)] == [expected]
    await pool.close()


@pytest.mark.parametrize("row_format", ["compact", "redundant"])
@pytest.mark.usefixtures("empty_database")
async def test_tables_can_be_made_whatever_row_format_is_the_default(server: MariaDBServer, row_format: str) -> None:
    await asyncio.to_thread(server.execute, f"SET GLOBAL innodb_default_row_format = '{row_format}'")
    database = Database(server.url(), pool_size=1)

    await schema.upgrade(database)

    assert await schema.is_current(database)
    await database.close()


@pytest.mark.usefixtures("empty_database")
async def test_a_server_that_would_refuse_a_post_is_named(server: MariaDBServer) -> None:
    database = Database(server.url(), pool_size=1)
    await check_server_settings(database)
    await asyncio.to_thread(server.execute, "SET GLOBAL max_allowed_packet = 2097152")

    with pytest.raises(ConfigurationError, match="max_allowed_packet is 2097152 bytes"):
        await check_server_settings(database)

    await database.close()


@pytest.mark.usefixtures("empty_database")
async def test_the_longest_post_fits_the_least_packet_that_is_taken(server: MariaDBServer, tmp_path: Path) -> None:
    await asyncio.to_thread(server.execute, f"SET GLOBAL max_allowed_packet = {(2 * 1024 + 64) * 1024}")
    database = Database(server.url(), pool_size=1)
    await check_server_settings(database)
    await schema.upgrade(database)
    await database.close()

    async with serve(create_app(settings_for(server.url(), tmp_path))) as client:
        ada = await Person.sign_up(client, "ada@example.com")
        longest = "'" * (1024 * 1024 - len('{"text":""}'))
        body = f'{{"text":"{longest}"}}'
        response = await ada.request("POST", "/posts", content=body, headers={"content-type": "application/json"})
        assert response.status_code == 201, response.text
        assert await ada.texts() == [longest]
