"""Leases: how one process at a time works on a row that any process may claim.

A row is due when its `due_at` has passed. To claim it, a process moves that time a little into the future: that is the
lease. Until then the row is this process's; after it expired, another process may claim the row.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Update, func, inspect, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from app.database.engines import Database
from models import Mail, Webhook
from models.columns import now

_Leased = TypeVar("_Leased", Mail, Webhook)


class LeaseLost(Exception):
    """The row was deleted, or its lease expired and another process claimed it."""


async def read_due(database: Database, due: SelectOfScalar[_Leased]) -> list[_Leased]:
    """Return rows that are due, to be claimed."""
    async with AsyncSession(database.reader) as session:
        found = (await session.exec(due)).all()
        session.expunge_all()
    return list(found)


async def claim(database: Database, due: Sequence[_Leased], lease: timedelta) -> list[_Leased]:
    """Claim and return the rows, in one transaction, except those that another process claims first."""
    if not due:
        return []
    until = now() + lease
    claimed = set[UUID]()
    async with database.writer.begin() as connection:
        # In the order of their ids, so that two processes that claim the same rows can't deadlock.
        for row in sorted(due, key=lambda row: row.id):
            if (await connection.execute(_renewal(row).values(due_at=until))).rowcount:
                claimed.add(row.id)
    rows = [row for row in due if row.id in claimed]
    for row in rows:
        row.due_at = until
    return rows


@asynccontextmanager
async def renewed(database: Database, row: _Leased, until: datetime, **values: Any) -> AsyncIterator[AsyncConnection]:
    """Yield a transaction in which the row is locked, and has these values and a lease until then.

    Raises:
        LeaseLost: The lease was lost, and nothing is changed.
    """
    async with database.writer.begin() as connection:
        if not (await connection.execute(_renewal(row).values(due_at=until, **values))).rowcount:
            raise LeaseLost
        yield connection
    row.due_at = until


def _renewal(row: Mail | Webhook) -> Update:
    """Return the update of the row that finds nothing if it is another process's by now."""
    columns = inspect(type(row)).columns
    # Not the bare column: MariaDB would lock the index on it before the row, and deadlock with who has locked the row
    # and makes it due.
    due_at = func.coalesce(columns["due_at"], None)
    return update(type(row)).where(columns["id"] == row.id, due_at == row.due_at)
