"""Notices that the SQLite file of a running service was removed, replaced or cut short.

SQLite itself does not: it goes on reading and writing what it holds open, and what it writes is lost when the process
ends.
"""

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Literal, NamedTuple, Self

from app.database.faults import FileReplaced

logger = logging.getLogger(__name__)

# https://sqlite.org/walformat.html
_LOG_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24


def existing_file(path: Path, mode: Literal["ro", "rw"]) -> str:
    """Return the URI with which SQLite opens the file, and fails if there is none instead of making one."""
    return f"{path.resolve().as_uri()}?mode={mode}"


class _Seen(NamedTuple):
    identity: tuple[int, int]
    size: int


class ServedFile:
    """The database, its log and its index as they were when they were opened, and what is wrong with them now.

    It holds a connection of its own, without which SQLite might remove the log and make a new one.
    """

    def __init__(self, name: Path) -> None:
        """Take the name that the settings give the database, which may be a link."""
        self.fault: str | None = None
        self._connection = sqlite3.connect(name, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("SELECT 1 FROM sqlite_master").fetchone()
            path = os.path.realpath(name)
            self._database, self._log = str(name), f"{path}-wal"
            self._seen = {each: _look_at(each) for each in (self._database, self._log, f"{path}-shm")}
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, after all others."""
        self._connection.close()

    def check(self) -> None:
        """Return if the files are still those that were opened, and whole. It takes some microseconds.

        Raises:
            FileReplaced: They are not.
        """
        was_whole, self.fault = self.fault is None, self._find_fault()
        # Said once, though a log that was removed, say, is replaced by the next connection's.
        if was_whole != (self.fault is None):
            if self.fault is None:
                logger.info("the database's file is as it was: requests are served again")
            else:
                logger.error(
                    "%s while the service runs: requests that need it get 503. Put the same file back, or stop the "
                    "service, and start it on what is to be used",
                    self.fault,
                )
        self.require()

    def require(self) -> None:
        """Return if the last check found no fault.

        Raises:
            FileReplaced: It found one.
        """
        if self.fault is not None:
            raise FileReplaced(self.fault)

    def _find_fault(self) -> str | None:
        for name, known in self._seen.items():
            try:
                found = _look_at(name)
            except OSError:
                return f"the database's file {name} was removed"
            if found.identity != known.identity:
                return f"the database's file {name} was replaced"
            if found.size < known.size:
                try:
                    if not self._has_room(name):
                        return f"the database's file {name} was cut short"
                except sqlite3.Error as error:
                    return f"the database's file {name} was cut short ({error})"
            if found.size != known.size:
                self._seen[name] = found
        return None

    def _has_room(self, name: str) -> bool:
        """Return whether a file that shrank has room for what SQLite keeps in it; it may have shrunk it itself."""
        [page_bytes] = self._one("PRAGMA page_size")
        if name == self._database:
            [pages] = self._one("PRAGMA page_count")
            needed = pages * page_bytes
        elif name == self._log:
            _, frames, _ = self._one("PRAGMA wal_checkpoint(PASSIVE)")
            needed = _LOG_HEADER_BYTES + frames * (page_bytes + _FRAME_HEADER_BYTES) if frames > 0 else 0
        else:
            return False
        return _look_at(name).size >= needed

    def _one(self, statement: str) -> tuple[int, ...]:
        with closing(self._connection.execute(statement)) as cursor:
            row: tuple[int, ...] = cursor.fetchone()
            return row


def _look_at(name: str) -> _Seen:
    # Not `Path.stat`, which takes several times as long: this is done for each write.
    found = os.stat(name)  # noqa: PTH116
    return _Seen((found.st_dev, found.st_ino), found.st_size)
