"""Hearing of what another process commits to the same SQLite file."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import URL

from app.database import schema
from app.database.engines import Database
from app.timelines.other_processes import OtherProcesses
from tests.conftest import sqlite_url


@pytest.fixture
def url(migrated_sqlite: Path, tmp_path: Path) -> URL:
    shutil.copy(migrated_sqlite, tmp_path / "test.db")
    return sqlite_url(tmp_path / "test.db")


@pytest.fixture
async def database(url: URL) -> AsyncIterator[Database]:
    database = Database(url, pool_size=2)
    yield database
    await database.close()


async def test_a_commit_of_another_process_is_noticed_once_and_an_own_one_is_not(database: Database, url: URL) -> None:
    noticed: list[bool] = []
    others = OtherProcesses(database, lambda: noticed.append(True))
    await others.tick()
    before = len(noticed)

    await schema.try_to_write(database)
    await others.tick()
    assert len(noticed) == before

    another = Database(url, pool_size=1)
    await schema.try_to_write(another)
    await another.close()
    await others.tick()
    await others.tick()
    assert len(noticed) == before + 1


async def test_what_was_committed_while_the_connection_was_replaced_is_noticed(database: Database, url: URL) -> None:
    noticed: list[bool] = []
    others = OtherProcesses(database, lambda: noticed.append(True))
    await others.tick()
    before = len(noticed)

    await database.writer.dispose()
    another = Database(url, pool_size=1)
    await schema.try_to_write(another)
    await another.close()
    await others.tick()

    assert len(noticed) > before
