"""How a command asks the database: in an event loop of its own, and with one line for the operator if it can't."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.database import schema
from app.database.engines import Database
from app.database.faults import FAULTS, unusable
from app.errors import ConfigurationError, DomainError
from app.timelines.other_processes import INTERVAL

_Answer = TypeVar("_Answer")


def ask(database: Database, question: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Return what a function answers that uses the database.

    Raises:
        SystemExit: The database can't be used or reached, or lacks migrations, or the answer is a `DomainError`. The
            message is one line for the operator.
    """

    async def require_migrations_and_ask() -> _Answer:
        await schema.require_migrations(database)
        return await question()

    return ask_unmigrated(database, require_migrations_and_ask)


def ask_unmigrated(database: Database, question: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Return what a function answers that uses a database which may lack migrations.

    Raises:
        SystemExit: As `ask`.
    """

    async def ask_and_close() -> _Answer:
        try:
            database.require_commands()
            return await question()
        except FAULTS as error:
            raise unusable(database.url, error) from None
        finally:
            await database.close()

    try:
        return asyncio.run(ask_and_close())
    except (ConfigurationError, DomainError) as error:
        raise SystemExit(f"postline: {error}") from None


async def wait_until_in_force(database: Database) -> None:
    """Wait until a service on the same SQLite file has noticed; on other databases the commit is enough."""
    if database.is_sqlite:
        await asyncio.sleep(2 * INTERVAL.total_seconds())
