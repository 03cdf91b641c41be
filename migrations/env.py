"""Runs the migrations on the configured database, or on a connection that the caller passes."""

import asyncio
from logging.config import fileConfig
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection
from sqlmodel import SQLModel

import models  # noqa: F401 - declares the tables
from app.database.engines import Database
from app.errors import ConfigurationError
from app.settings import load_settings
from models.columns import UTCDateTime, UUIDBytes


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
    with context.begin_transaction():
        context.run_migrations()


async def _run_on_configured_database() -> None:
    try:
        database = Database(load_settings().database, pool_size=1)
    except ConfigurationError as error:
        raise SystemExit(f"postline: {error}") from None
    try:
        database.create_folder()
        async with database.writer.connect() as connection:
            await connection.run_sync(_run)
            await connection.commit()
    finally:
        await database.close()


given_connection = context.config.attributes.get("connection")
if given_connection is not None:
    _run(given_connection)
elif context.is_offline_mode():
    raise SystemExit("postline: migrations run on a database, so --sql is not supported")
else:
    if context.config.config_file_name is not None:
        fileConfig(context.config.config_file_name, disable_existing_loggers=False)
    asyncio.run(_run_on_configured_database())
