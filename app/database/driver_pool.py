"""Statements straight through the driver of MySQL and MariaDB, for the one that every request waits for.

SQLAlchemy takes several times as long to run such a small statement as the server takes to answer it.
"""

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Any, NamedTuple

from asyncmy.connection import Connection
from asyncmy.constants.CR import CR_SERVER_LOST
from asyncmy.errors import Error, OperationalError
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, StatementError

from app.database.mysql_driver import RECYCLE_SECONDS, TRUSTED_SECONDS, mysql_arguments

_MAX_CONNECTIONS = 8


class _Idle(NamedTuple):
    connection: Connection
    opened_at: float
    used_at: float


class DriverPool:
    """A few connections of the driver in autocommit, opened as SQLAlchemy's engines open theirs.

    The connection that was used last is used next.
    """

    def __init__(
        self,
        url: URL,
        answer_seconds: float,
        *,
        trusted_seconds: float = TRUSTED_SECONDS,
        recycle_seconds: float = RECYCLE_SECONDS,
    ) -> None:
        _, arguments = url.get_dialect()().create_connect_args(url)
        self._arguments = {**arguments, **mysql_arguments(answer_seconds), "autocommit": True}
        self._open = self._arguments.pop("async_creator_fn")
        self._answer_seconds = answer_seconds
        self._trusted_seconds = trusted_seconds
        self._recycle_seconds = recycle_seconds
        self._free = asyncio.Semaphore(_MAX_CONNECTIONS)
        self._idle: list[_Idle] = []
        self.in_use = 0
        self.size = _MAX_CONNECTIONS

    async def rows(self, statement: str) -> Sequence[tuple[Any, ...]]:
        """Return what one statement reads, in one snapshot.

        Raises:
            sqlalchemy.exc.DBAPIError: It was not answered within `answer_seconds`, or with an error.
        """
        try:
            async with asyncio.timeout(self._answer_seconds), self._free:
                self.in_use += 1
                try:
                    return await self._read(statement)
                finally:
                    self.in_use -= 1
        except OSError:
            raise _as_sqlalchemy_error(OperationalError(CR_SERVER_LOST, "no answer in time")) from None
        except Error as error:
            raise _as_sqlalchemy_error(error) from error

    async def close(self) -> None:
        """Close the connections that are not in use."""
        idle, self._idle = self._idle, []
        for each in idle:
            await each.connection.ensure_closed()

    async def _read(self, statement: str) -> Sequence[tuple[Any, ...]]:
        connection, opened_at = await self._take()
        try:
            cursor = connection.cursor()
            await cursor.execute(statement)
            rows: Sequence[tuple[Any, ...]] = await cursor.fetchall()
        except BaseException:
            # On a cancellation too: an answer that comes late must not be taken for the next statement's.
            connection.close()
            self._close_idle()
            raise
        self._idle.append(_Idle(connection, opened_at, monotonic()))
        return rows

    async def _take(self) -> tuple[Connection, float]:
        """Return a usable connection, and when it was opened."""
        while self._idle:
            idle = self._idle.pop()
            if await self._is_usable(idle):
                return idle.connection, idle.opened_at
            idle.connection.close()
        return await self._open(**self._arguments), monotonic()

    async def _is_usable(self, idle: _Idle) -> bool:
        at = monotonic()
        if at - idle.opened_at > self._recycle_seconds:
            return False
        if at - idle.used_at > self._trusted_seconds:
            try:
                await idle.connection.ping(reconnect=False)
            except (Error, OSError):
                # The others were last used before this one, so they are as likely to be lost.
                self._close_idle()
                return False
        return True

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().connection.close()


def _as_sqlalchemy_error(error: Error) -> StatementError:
    """Return the exception that SQLAlchemy would have raised, which the service handles."""
    return DBAPIError.instance(None, None, error, Error, hide_parameters=True)
