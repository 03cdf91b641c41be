"""A lock that lets only one process serve a SQLite file."""

import multiprocessing
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from app.database.engines import Database
from app.errors import ConfigurationError

# The locks that this process took before its server was started.
_taken_early: dict[Path, FileLock] = {}


@contextmanager
def sole_user_of(database: Database) -> Iterator[None]:
    """Lock a SQLite database for this process. The operating system releases the lock when it ends in any way.

    The lock of a file is a file beside it, wherever links to the database are. A file with several hard links is
    refused: SQLite keeps the log beside the name that it was opened by, so that changes made under one name are missing
    under the others.

    Raises:
        ConfigurationError: Another process holds the lock, the file has other names, or the folder can't be written.
    """
    if database.is_in_memory:
        with _sole_worker():
            yield
        return
    path = database.file
    lock = _taken_early.pop(path, None) or _acquire(database, path)
    try:
        yield
    finally:
        lock.release()


def lock_for_server(database: Database) -> None:
    """Lock a SQLite file for the server that this process is about to start, whose `sole_user_of` takes the lock over.

    Raises:
        ConfigurationError: As `sole_user_of`.
    """
    if not database.is_in_memory:
        _taken_early[database.file] = _acquire(database, database.file)


def check_names(path: Path) -> None:
    """Return unless a SQLite file has hard links besides its name.

    Raises:
        ConfigurationError: It has.
    """
    if path.is_file() and path.stat().st_nlink > 1:
        raise ConfigurationError(
            f"{path} has other names (hard links), under which SQLite would not see its last changes: "
            "keep one of them, and use symbolic links for the others"
        )


@contextmanager
def _sole_worker() -> Iterator[None]:
    """Refuse to be one of several workers, of which each would have a database in its own memory.

    Only one child of a process can have the name, which is gone with it. It is no file, and only Linux has such names.
    """
    if multiprocessing.parent_process() is None or sys.platform != "linux":
        yield
        return
    with socket.socket(socket.AF_UNIX) as name:
        try:
            name.bind(f"\0postline-in-memory-of-{os.getppid()}")
        except OSError:
            raise ConfigurationError(
                "a database in memory serves one process only: set DATABASE_URL to a MySQL or MariaDB database to use "
                "several workers"
            ) from None
        yield


def _acquire(database: Database, path: Path) -> FileLock:
    try:
        database.create_folder()
        lock = FileLock(f"{path}.lock", timeout=0, thread_local=False)
        lock.acquire()
    except Timeout:
        raise ConfigurationError(
            f"another process serves {database.url.database}: stop it, or set DATABASE_URL to a MySQL or MariaDB "
            "database, which any number of processes can share"
        ) from None
    except OSError as error:
        folder = Path(database.url.database or "").parent
        raise ConfigurationError(f"the data folder {folder} can't be used: {error.strerror}") from None
    try:
        check_names(path)
    except BaseException:
        lock.release()
        raise
    return lock
