"""The driver of MySQL and MariaDB, with a timeout for each statement."""

from collections.abc import Awaitable
from datetime import datetime
from typing import Any, TypeVar

from asyncmy.connection import Connection
from asyncmy.constants import FIELD_TYPE
from asyncmy.constants.CR import CR_CONN_HOST_ERROR
from asyncmy.converters import conversions
from asyncmy.errors import OperationalError
from typing_extensions import override

_Answer = TypeVar("_Answer")

# A connection that was unused for longer is pinged before it is used; one that is older is replaced.
TRUSTED_SECONDS = 1
RECYCLE_SECONDS = 1800

# The driver's own conversion of times takes longer than the rest of a row.
_CONVERSIONS = conversions | {FIELD_TYPE.DATETIME: datetime.fromisoformat}
_GREETING_SECONDS = 2
# The server's own default.
_LOCK_SECONDS = 50

# What the service relies on, and a server may set otherwise for all its sessions.
_SESSION = {
    # Without NO_BACKSLASH_ESCAPES, under which the driver would damage bytes, and without modes that change what SQL
    # means. Strict, so that what does not fit is refused and not cut off.
    "sql_mode": "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
    # It refuses the UPDATE and DELETE of migrations.
    "sql_safe_updates": 0,
    # Each of these would end a list early, or refuse it.
    "sql_select_limit": 2**64 - 1,
    "sql_big_selects": 1,
    # Other engines have no transactions.
    "default_storage_engine": "InnoDB",
    "foreign_key_checks": 1,
    "unique_checks": 1,
    # Otherwise a COMMIT could begin the next transaction, or end the connection.
    "completion_type": 0,
    "time_zone": "'+00:00'",
}


class PunctualConnection(Connection):
    """A connection on which each statement and its result must arrive within `answer_seconds`.

    For the server's greeting and for a ping, the timeout is at most two seconds. After a timeout the connection is
    aborted, which the driver reports as lost: a late answer is never taken for the next statement's. The driver's own
    `read_timeout` costs several times as much, and does not cover sending.
    """

    def __init__(self, *args: Any, answer_seconds: float, **options: Any) -> None:
        super().__init__(*args, connect_timeout=_GREETING_SECONDS, **options)  # type: ignore[no-untyped-call]
        self._answer_seconds = answer_seconds
        self._greeting_seconds = min(answer_seconds, _GREETING_SECONDS)

    @classmethod
    async def open(cls, *args: Any, **options: Any) -> "PunctualConnection":
        """Return an open connection, as `asyncmy.connect` does."""
        try:
            connection = cls(*args, **options)
        except (ValueError, OSError) as error:
            # A file that the options name is not there, or says what the driver can't use.
            raise OperationalError(CR_CONN_HOST_ERROR, f"the connection's options can't be used: {error}") from error
        await connection.connect()
        return connection

    @override
    async def connect(self) -> Any:
        try:
            return await self._within(super().connect(), self._greeting_seconds)
        except RuntimeError as error:
            # The driver raises it if the server closes the connection at once.
            raise OperationalError(CR_CONN_HOST_ERROR, "the connection was closed") from error

    @override
    async def ping(self, *args: Any, **options: Any) -> None:
        await self._within(super().ping(*args, **options), self._greeting_seconds)

    @override
    async def autocommit(self, value: Any) -> None:
        await self._within(super().autocommit(value), self._answer_seconds)  # type: ignore[no-untyped-call]

    @override
    async def query(self, *args: Any, **options: Any) -> Any:
        return await self._within(super().query(*args, **options), self._answer_seconds)  # type: ignore[no-untyped-call]

    @override
    async def commit(self) -> None:
        await self._within(super().commit(), self._answer_seconds)

    @override
    async def rollback(self) -> None:
        await self._within(super().rollback(), self._answer_seconds)

    async def _within(self, answer: Awaitable[_Answer], seconds: float) -> _Answer:
        # A plain timer: `asyncio.timeout` costs each statement several times as much.
        timer = self.loop.call_later(seconds, self._abort)
        try:
            return await answer
        finally:
            timer.cancel()

    def _abort(self) -> None:
        if self._transport is not None:  # type: ignore[attr-defined]
            self._transport.abort()  # type: ignore[attr-defined]


def mysql_arguments(answer_seconds: float | None) -> dict[str, Any]:
    """Return the driver's arguments besides those of the URL; `async_creator_fn` opens the connection."""
    # A lock times out in the server before `answer_seconds` does, so the connection is kept.
    lock_seconds = _LOCK_SECONDS if answer_seconds is None else max(1, int(answer_seconds) - 1)
    session = _SESSION | {"innodb_lock_wait_timeout": lock_seconds}
    if answer_seconds is not None:
        session["lock_wait_timeout"] = lock_seconds
    assignments = ", ".join(f"SESSION {name} = {value}" for name, value in session.items())
    arguments: dict[str, Any] = {
        # Whatever the URL says: no other character set can hold every text.
        "charset": "utf8mb4",
        "conv": _CONVERSIONS,
        # Since 11.6.2, MariaDB by default refuses to write a row that has changed since the transaction's first read.
        "init_command": f"SET {assignments} /*M!110602 , SESSION innodb_snapshot_isolation = OFF */",
        "sql_mode": None,
    }
    if answer_seconds is None:
        return arguments | {"connect_timeout": 5}
    return arguments | {"async_creator_fn": PunctualConnection.open, "answer_seconds": answer_seconds}
