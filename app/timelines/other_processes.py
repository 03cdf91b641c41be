"""Notices what other processes commit to a SQLite file: an operator's command, say."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from typing_extensions import override

from app.database.engines import Database
from app.periodic import PeriodicTask

INTERVAL = timedelta(seconds=0.2)


class OtherProcesses(PeriodicTask):
    """Calls `on_commit` within `INTERVAL` of a commit by another process.

    SQLite's `data_version` moves when another connection commits. It is asked on the connection through which this
    process writes, so its own commits do not move it.
    """

    def __init__(self, database: Database, on_commit: Callable[[], None]) -> None:
        super().__init__("looking for commits of other processes", INTERVAL.total_seconds())
        self._database = database
        self._on_commit = on_commit
        self._known: tuple[int, int] | None = None

    @override
    async def tick(self) -> None:
        async with self._database.writer.connect() as connection:
            driver_connection: Any = (await connection.get_raw_connection()).driver_connection
            # Outside a transaction, which would take the lock that writers need.
            [(version,)] = await driver_connection.execute_fetchall("PRAGMA data_version")
        # Versions of two connections can't be compared, so a new connection counts as a change.
        found = (id(driver_connection), version)
        if found != self._known:
            self._known = found
            self._on_commit()
