"""Connections to MySQL and MariaDB that don't wait without end for a server that says nothing."""

from collections.abc import Awaitable
from datetime import datetime
from typing import Any, TypeVar

from asyncmy.connection import Connection
from asyncmy.constants import FIELD_TYPE
from asyncmy.constants.CR import CR_CONN_HOST_ERROR
from asyncmy.converters import conversions
from asyncmy.errors import OperationalError

_Answer = TypeVar("_Answer")

# A connection that was unused for longer is pinged before it is used; one that is older is replaced.
TRUSTED_SECONDS = 1
RECYCLE_SECONDS = 1800

# The driver's own conversion of times takes longer than the rest of a row.
_CONVERSIONS = conversions | {FIELD_TYPE.DATETIME: datetime.fromisoformat}
_GREETING_SECONDS = 2
# The server's own default.
_LOCK_SECONDS = 50


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


def mysql_arguments(answer_seconds: float | None) -> dict[str, Any]:
    """Return the driver's arguments besides those of the URL; `async_creator_fn` opens the connection."""
    # Whoever waits for a lock is told so by the server in time, and keeps the connection.
    lock_seconds = _LOCK_SECONDS if answer_seconds is None else max(1, int(answer_seconds) - 1)
    arguments: dict[str, Any] = {
        # Whatever the URL says: there is text that no other one can carry.
        "charset": "utf8mb4",
        "conv": _CONVERSIONS,
        # Since 11.6.2 MariaDB refuses by default to write what another transaction wrote after this one first read.
        "init_command": f"SET SESSION innodb_lock_wait_timeout = {lock_seconds}"
        " /*M!110602 , SESSION innodb_snapshot_isolation = OFF */",
    }
    if answer_seconds is None:
        return arguments | {"connect_timeout": 5}
    arguments["init_command"] += f", SESSION lock_wait_timeout = {lock_seconds}"
    return arguments | {"async_creator_fn": PunctualConnection.open, "answer_seconds": answer_seconds}
