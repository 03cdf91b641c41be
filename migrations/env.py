"""Runs the migrations on the configured database, or on a connection that the caller passes."""

import asyncio
import gc
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection
from sqlmodel import SQLModel

import models  # noqa: F401 - declares the tables
from app.database import schema
from app.database.engines import Database
from app.database.faults import FAULTS, unusable
from app.database.sqlite_lock import sole_user_of
from app.errors import ConfigurationError
from app.settings import Environment, load_settings
from app.telemetry.logs import configure_logging
from models.columns import UTCDateTime, UUIDBytes

# `app` turned the collector off.
gc.enable()

_READING = {"current", "check", "revision", "history", "heads", "show", "branches"}


def _render_item(kind: str, item: Any, autogen_context: AutogenContext) -> str | Literal[False]:
    # Migrations spell their types out, so that a change of the models does not change them. These two types are stable.
    if kind == "type" and isinstance(item, UUIDBytes | UTCDateTime):
        autogen_context.imports.add(f"from models.columns import {type(item).__name__}")
        return f"{type(item).__name__}()"
    return False


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        compare_type=True,
        render_item=_render_item,
        # SQLite can't alter columns: a batch creates a new table and copies the rows.
        render_as_batch=True,
    )
    with _without_cascades(connection), context.begin_transaction():
        context.run_migrations()


@contextmanager
def _without_cascades(connection: Connection) -> Iterator[None]:
    """Keep the rows that refer to a table while SQLite puts another in its place; commit at the end.

    A batch drops the old table, which would delete them, as deleting each of its rows would.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    cursor = connection.connection.cursor()
    # Past SQLAlchemy, which would begin a transaction: within one, SQLite ignores this.
    cursor.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
        connection.commit()
    finally:
        connection.rollback()
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()


async def _run_on_configured_database() -> None:
    try:
        settings = load_settings()
        configure_logging(as_json=settings.environment is Environment.PRODUCTION)
        logging.getLogger("alembic").setLevel(logging.INFO)
        database = Database(settings.database, pool_size=1)
        try:
            await _run_alone(database)
        except FAULTS as error:
            raise unusable(database.url, error) from None
        finally:
            await database.close()
    except ConfigurationError as error:
        raise SystemExit(f"postline: {error}") from None


def _command() -> str | None:
    options = context.config.cmd_opts
    return None if options is None else options.cmd[0].__name__


async def _run_alone(database: Database) -> None:
    database.require_commands()
    database.create_folder()
    command = _command()
    state = await schema.state(database)
    with ExitStack() as stack:
        if database.is_sqlite and command not in _READING and (command, state) != ("upgrade", schema.State.CURRENT):
            stack.enter_context(sole_user_of(database))
        # `stamp --purge` is the way out.
        if state is schema.State.AHEAD and command != "stamp":
            raise ConfigurationError("the database is of a later version of the service, whose migrations are not here")
        async with database.writer.connect() as connection:
            await connection.run_sync(_run)
            await connection.commit()


given_connection = context.config.attributes.get("connection")
if given_connection is not None:
    _run(given_connection)
elif context.is_offline_mode():
    raise SystemExit("postline: migrations run on a database, so --sql is not supported")
else:
    asyncio.run(_run_on_configured_database())
