"""A lock that lets only one process serve a SQLite file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from app.database.engines import Database
from app.errors import ConfigurationError


@contextmanager
def sole_user_of(database: Database) -> Iterator[None]:
    """Lock a SQLite file for this process. The operating system releases the lock when the process ends in any way.

    Raises:
        ConfigurationError: Another process holds the lock, or the folder can't be written.
    """
    path = Path(database.url.database or "")
    try:
        database.create_folder()
        lock = FileLock(f"{path}.lock", timeout=0, thread_local=False)
        lock.acquire()
    except Timeout:
        raise ConfigurationError(
            f"another process serves {path}: stop it, or set DATABASE_URL to a MySQL or MariaDB database, "
            "which any number of processes can share"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"the data folder {path.parent} can't be used: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()
