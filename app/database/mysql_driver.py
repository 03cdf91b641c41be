"""Connections to MySQL and MariaDB that don't wait without end for a server that says nothing."""

from collections.abc import Awaitable
from typing import Any, TypeVar

from asyncmy.connection import Connection
from asyncmy.constants.CR import CR_CONN_HOST_ERROR
from asyncmy.errors import OperationalError

_Answer = TypeVar("_Answer")

_GREETING_SECONDS = 2


class PunctualConnection(Connection):
    """A connection on which each statement must be answered within `answer_seconds`, its result included.

    The server's greeting, and whether it is there, must be answered within two seconds. A connection that was not
    answered is cut, which the driver reports as lost: an answer that comes too late is never taken for the next one's.
    The driver's own `read_timeout` costs several times as much, and waits without end for what it still has to send.
    """

    def __init__(self, *args: Any, answer_seconds: float, **options: Any) -> None:
        super().__init__(*args, connect_timeout=_GREETING_SECONDS, **options)  # type: ignore[no-untyped-call]
        self._answer_seconds = answer_seconds
        self._greeting_seconds = min(answer_seconds, _GREETING_SECONDS)

    @classmethod
    async def open(cls, *args: Any, **options: Any) -> "PunctualConnection":
        """Return a connection that is connected, as `asyncmy.connect` does."""
        connection = cls(*args, **options)
        await connection.connect()
        return connection

    async def connect(self) -> Any:
        """See the driver."""
        try:
            return await self._in_time(super().connect(), self._greeting_seconds)
        except RuntimeError as error:
            # What the driver makes of a server that hangs up at once.
            raise OperationalError(CR_CONN_HOST_ERROR, "the connection was closed") from error

    async def ping(self, *args: Any, **options: Any) -> None:
        """See the driver."""
        await self._in_time(super().ping(*args, **options), self._greeting_seconds)

    async def autocommit(self, value: Any) -> None:
        """See the driver."""
        await self._in_time(super().autocommit(value), self._answer_seconds)  # type: ignore[no-untyped-call]

    async def query(self, *args: Any, **options: Any) -> Any:
        """See the driver."""
        return await self._in_time(super().query(*args, **options), self._answer_seconds)  # type: ignore[no-untyped-call]

    async def commit(self) -> None:
        """See the driver."""
        await self._in_time(super().commit(), self._answer_seconds)

    async def rollback(self) -> None:
        """See the driver."""
        await self._in_time(super().rollback(), self._answer_seconds)

    async def _in_time(self, answer: Awaitable[_Answer], seconds: float) -> _Answer:
        # A bare timer: `asyncio.timeout` costs each statement several times as much.
        timer = self.loop.call_later(seconds, self._cut)
        try:
            return await answer
        finally:
            timer.cancel()

    def _cut(self) -> None:
        if self._transport is not None:  # type: ignore[attr-defined]
            self._transport.abort()  # type: ignore[attr-defined]
