"""The schema's history, walked in both directions."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect
from sqlmodel import SQLModel
from uuid_utils.compat import uuid7

from app.database import schema
from app.database.engines import Database
from tests.conftest import sqlite_url
from tests.factories import PostFactory, SessionFactory, UserFactory, stored_event
from tests.services import fresh_mariadb_database

ROOT = Path(__file__).resolve().parents[2]


async def migrate(database: Database, step: Callable[..., None], revision: str) -> None:
    def run(connection: Connection) -> None:
        config = Config(ROOT / "alembic.ini")
        config.attributes["connection"] = connection
        step(config, revision)

    async with database.writer.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()


def drift(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, SQLModel.metadata))


async def test_migrations_and_models_agree(database: Database) -> None:
    async with database.writer.connect() as connection:
        assert await connection.run_sync(drift) == []


async def test_a_migrated_database_is_current_and_migrating_again_changes_nothing(database: Database) -> None:
    assert await schema.is_current(database)

    await schema.upgrade(database)

    assert await schema.is_current(database)


@pytest.mark.parametrize("kind", ["sqlite", "mariadb"])
def test_migrations_go_down_to_nothing_and_up_again_with_rows_in_the_tables(kind: str, tmp_path: Path) -> None:
    async def walk(database: Database) -> None:
        assert not await schema.is_current(database)
        await migrate(database, command.upgrade, "head")
        user = UserFactory.build()
        async with database.writing() as session:
            session.add(user)
            await session.flush()
            session.add(PostFactory.build(user_id=user.id))
            # What an erased user has left.
            session.add(PostFactory.build(user_id=uuid7()))
            session.add(SessionFactory.build(user_id=user.id))
            session.add(stored_event(user.id, version=1))
            await session.commit()

        await migrate(database, command.downgrade, "base")
        async with database.reading() as connection:
            tables = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
        assert tables == ["alembic_version"]

        await migrate(database, command.upgrade, "head")
        assert await schema.is_current(database)
        await database.close()

    if kind == "sqlite":
        asyncio.run(walk(Database(sqlite_url(tmp_path / "walk.db"), pool_size=2)))
    else:
        with fresh_mariadb_database() as url:
            asyncio.run(walk(Database(url, pool_size=2)))
