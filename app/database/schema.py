"""The database's schema, which only migrations change."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from app.database.engines import Database

_ROOT = Path(__file__).resolve().parents[2]


async def upgrade(database: Database) -> None:
    """Apply the migrations that the database lacks."""
    async with database.writer.connect() as connection:
        await connection.run_sync(_upgrade)
        await connection.commit()


async def is_current(database: Database) -> bool:
    """Return whether the database has every migration.

    Raises:
        sqlalchemy.exc.DBAPIError: The database does not answer.
    """
    async with database.reading() as connection:
        current = await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_heads())
    return set(current) == _heads()


def has_migration(revision: str) -> bool:
    """Return whether this version of the service knows a migration."""
    return any(script.revision == revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


async def try_to_write(database: Database) -> None:
    """Write what is there already.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The database takes no changes: it is read-only, locked, or has no room left.
    """
    async with database.writer.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = version_num"))


@cache
def _heads() -> set[str]:
    # To find out, each migration is imported, which takes milliseconds.
    return set(ScriptDirectory.from_config(_config()).get_heads())


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config(_ROOT / "alembic.ini")
    config.set_main_option("script_location", str(_ROOT / "migrations"))
    return config
