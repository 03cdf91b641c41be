"""The database's schema, which only migrations change."""

import logging
import re
import sqlite3
from collections.abc import Iterable
from enum import Enum, auto
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, create_engine, event, inspect, text
from sqlmodel import SQLModel

import models  # noqa: F401 - declares the tables
from app.database.engines import Database
from app.database.sqlite_file import existing_file
from app.errors import ConfigurationError

logger = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[2]
ALEMBIC_INI = _ROOT / "alembic.ini"
_REVISION = re.compile(r"""^revision\b.* = ["'](\w+)["']$""", re.MULTILINE)
_DOWN_REVISION = re.compile(r"""^down_revision\b.* = ["'](\w+)["']$""", re.MULTILINE)
HOW_TO_MIGRATE = "run `postline migrate up` (`alembic upgrade head` in a checkout)"


class State(Enum):
    """How the database's revision compares with this version of the service."""

    CURRENT = auto()
    BEHIND = auto()
    """It lacks migrations."""
    AHEAD = auto()
    """It has a migration that this version does not know, so a later version of the service has migrated it."""


class Migration(NamedTuple):
    """A migration; `applied` says whether the database has it. One of a later version of the service has no title."""

    revision: str
    title: str | None
    applied: bool


@event.listens_for(Table, "before_create")
def _store_long_keys(table: Table, *_: Any, **__: Any) -> None:
    # With the row formats that a server may make its default, an address would be too long for an index.
    for dialect in ("mysql", "mariadb"):
        table.dialect_options[dialect]["row_format"] = "DYNAMIC"


async def upgrade(database: Database) -> None:
    """Apply the migrations that the database lacks. One that is ahead of this version stays as it is."""
    async with database.writer.connect() as connection:
        before = await connection.run_sync(_applied)
        found = _compare(before)
        if found is State.CURRENT:
            return
        if found is State.AHEAD:
            logger.warning(
                "the database is of a later version of the service (revision %s) and is used as it is", _listed(before)
            )
            return
        if before:
            logger.info("migrating the database from revision %s, which may take a while", _listed(before))
        await connection.run_sync(_upgrade)
        after = await connection.run_sync(_applied)
        await connection.commit()
    if before:
        logger.info("the database was migrated from revision %s to %s", _listed(before), _listed(after))


async def state(database: Database) -> State:
    """Return how the database's revision compares with this version of the service.

    Raises:
        sqlalchemy.exc.DBAPIError: The database does not answer.
    """
    async with database.reading() as connection:
        return _compare(await connection.run_sync(_applied))


async def is_current(database: Database) -> bool:
    """Return whether the database has every migration, and none that this version does not know.

    Raises:
        sqlalchemy.exc.DBAPIError: The database does not answer.
    """
    return await state(database) is State.CURRENT


async def require_migrations(database: Database) -> None:
    """Return unless the database lacks migrations.

    Raises:
        ConfigurationError: It lacks some; the message names them, and the command that applies them.
        sqlalchemy.exc.DBAPIError: The database does not answer.
    """
    if _compare(await _found(database)) is State.CURRENT:
        return
    lacking = [migration.revision for migration in await migrations(database) if not migration.applied]
    if lacking:
        raise ConfigurationError(
            f"the database lacks the migration{'s' * (len(lacking) > 1)} {_listed(lacking)}: {HOW_TO_MIGRATE}"
        )


async def migrations(database: Database) -> list[Migration]:
    """Return every migration, the oldest first.

    Raises:
        sqlalchemy.exc.DBAPIError: The database does not answer.
    """
    from app.database.revisions import known, scripts  # noqa: PLC0415 - it loads Alembic

    found = await _found(database)
    later = [Migration(revision, None, applied=True) for revision in found if not has_migration(revision)]
    # What a later version has migrated has every migration of this one.
    applied = known() if later else {script.revision for script in scripts().iterate_revisions(found, "base")}
    own = [
        Migration(script.revision, script.doc.removesuffix("."), script.revision in applied)
        for script in scripts().walk_revisions()
    ]
    return [*reversed(own), *later]


async def missing(database: Database) -> list[str]:
    """Return the tables and columns that this version of the service uses and the database lacks.

    Raises:
        sqlalchemy.exc.DBAPIError: The database does not answer.
    """
    wanted = {(table.name, column.name) for table in SQLModel.metadata.tables.values() for column in table.columns}
    async with database.reading() as connection:
        return _named(wanted - await connection.run_sync(_columns))


def has_migration(revision: str) -> bool:
    """Return whether this version of the service knows a migration."""
    from app.database.revisions import known  # noqa: PLC0415 - it loads Alembic

    return revision in known()


def missing_in_file(path: Path, revision: str) -> list[str]:
    """Return the tables and columns that a SQLite file lacks, though a database of its revision has them.

    Raises:
        sqlalchemy.exc.DBAPIError: The file can't be read.
    """
    file = create_engine("sqlite://", creator=lambda: sqlite3.connect(existing_file(path, "ro"), uri=True))
    complete = create_engine("sqlite://")
    try:
        with complete.connect() as connection:
            _upgrade(connection, revision)
            wanted = _columns(connection)
        with file.connect() as connection:
            return _named(wanted - _columns(connection))
    finally:
        complete.dispose()
        file.dispose()


async def try_to_write(database: Database) -> None:
    """Write what is there already.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The database takes no changes: it is read-only, locked, or has no room left.
    """
    async with database.writer.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = version_num"))


@cache
def _newest() -> frozenset[str]:
    """Return the newest migrations, which none of the others comes after, from the source of all."""
    sources = [path.read_text() for path in (_ROOT / "migrations/versions").glob("*.py")]
    revisions = {revision for source in sources for revision in _REVISION.findall(source)}
    return frozenset(revisions - {revision for source in sources for revision in _DOWN_REVISION.findall(source)})


async def _found(database: Database) -> tuple[str, ...]:
    # To ask SQLite would make a file where there is none.
    if database.is_sqlite and not database.file.exists():
        return ()
    async with database.reading() as connection:
        return await connection.run_sync(_applied)


def _compare(applied: Iterable[str]) -> State:
    found = frozenset(applied)
    if found == _newest():
        return State.CURRENT
    return State.BEHIND if all(map(has_migration, found)) else State.AHEAD


def _applied(connection: Connection) -> tuple[str, ...]:
    """Return the newest migrations that the database has, as Alembic stores them."""
    if not inspect(connection).has_table("alembic_version"):
        return ()
    return tuple(connection.scalars(text("SELECT version_num FROM alembic_version")))


def _columns(connection: Connection) -> set[tuple[str, str]]:
    found = inspect(connection)
    return {(table, column["name"]) for table in found.get_table_names() for column in found.get_columns(table)}


def _named(columns: Iterable[tuple[str, str]]) -> list[str]:
    return sorted(f"{table}.{column}" for table, column in columns)


def _listed(revisions: Iterable[str]) -> str:
    return ", ".join(revisions)


def _upgrade(connection: Connection, revision: str = "head") -> None:
    from app.database.revisions import upgrade  # noqa: PLC0415 - it loads Alembic

    upgrade(connection, revision)
