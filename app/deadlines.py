"""Connections to MySQL and MariaDB that don't wait without end for a server that says nothing."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from asyncmy.connection import Connection
from asyncmy.constants.CR import CR_CONN_HOST_ERROR, CR_SERVER_LOST
from asyncmy.errors import OperationalError

_Answer = TypeVar("_Answer")

_GREETING_SECONDS = 2


class PunctualConnection(Connection):
    """A connection on which each statement must be answered within `answer_seconds`, its result included.

    Connecting, and asking whether the server is there, must be answered within two seconds. A connection that was not
    answered is closed, and the error one that SQLAlchemy takes for a lost connection: an answer that comes too late is
    never taken for the next one's. The driver's own `read_timeout` makes a task for each read on Python 3.11, and waits
    without end for what it still has to send.
    """

    def __init__(self, *args: Any, answer_seconds: float, **options: Any) -> None:
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]
        self._answer_seconds = answer_seconds

    @classmethod
    async def open(cls, *args: Any, **options: Any) -> "PunctualConnection":
        """Return a connection that is connected, as `asyncmy.connect` does."""
        connection = cls(*args, **options)
        await connection.connect()
        return connection

    async def connect(self) -> Any:
        """See the driver."""
        try:
            return await self._in_time(super().connect(), at_most=_GREETING_SECONDS)
        except RuntimeError as error:
            # What the driver makes of a server that hangs up at once.
            raise OperationalError(CR_CONN_HOST_ERROR, "the connection was closed") from error

    async def ping(self, *args: Any, **options: Any) -> None:
        """See the driver."""
        await self._in_time(super().ping(*args, **options), at_most=_GREETING_SECONDS)

    async def autocommit(self, value: Any) -> None:
        """See the driver."""
        await self._in_time(super().autocommit(value))  # type: ignore[no-untyped-call]

    async def query(self, *args: Any, **options: Any) -> Any:
        """See the driver."""
        return await self._in_time(super().query(*args, **options))  # type: ignore[no-untyped-call]

    async def commit(self) -> None:
        """See the driver."""
        await self._in_time(super().commit())

    async def rollback(self) -> None:
        """See the driver."""
        await self._in_time(super().rollback())

    async def _in_time(self, answer: Awaitable[_Answer], *, at_most: float = float("inf")) -> _Answer:
        try:
            # The driver closes a connection on which waiting was cancelled.
            async with asyncio.timeout(min(self._answer_seconds, at_most)):
                return await answer
        except TimeoutError:
            raise OperationalError(CR_SERVER_LOST, "no answer in time") from None
