"""Checks the SQLite file that a process serves, also while nobody writes to it."""

from contextlib import suppress

from typing_extensions import override

from app.database.engines import Database
from app.database.faults import FileReplaced
from app.periodic import PeriodicTask

_INTERVAL_SECONDS = 0.5


class FileWatcher(PeriodicTask):
    """Notices within half a second that the file was removed, replaced or cut short, or is back."""

    def __init__(self, database: Database) -> None:
        super().__init__("checking the database's file", _INTERVAL_SECONDS)
        self._database = database

    @override
    async def tick(self) -> None:
        # It is logged when it is noticed.
        with suppress(FileReplaced):
            self._database.check_file()
