"""Copies of a SQLite database, made while it is in use and put back while it is not."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from app.database import schema
from app.database.sqlite_file import existing_file
from app.database.sqlite_lock import check_names
from app.errors import ConfigurationError


class BackupError(Exception):
    """The copy can't be made or used; the message is one line for the operator, and nothing was changed."""


def back_up(database: Path, copy: Path, *, force: bool = False) -> None:
    """Write a copy of the database as it is at this moment, without being in the way of those who use it.

    The copy appears under its name when it is complete, verified and on the disk.

    Raises:
        BackupError: There is no such database, the copy can't be written, or is the database itself, or, without
            `force`, there is one already.
    """
    _check_free(copy, force=force)
    _check_different(copy, database)
    try:
        check_names(database)
    except ConfigurationError as error:
        raise BackupError(str(error)) from None
    _revision_of(database)
    with _draft_of(database, copy) as draft:
        draft.replace(copy)


def restore(copy: Path, database: Path, *, force: bool = False) -> None:
    """Put a copy in the database's place. Nobody may use the database meanwhile, which is for the caller to ensure.

    A copy of an earlier version is migrated when the service is next started.

    Raises:
        BackupError: The copy is damaged or incomplete, or none of this service, or of a later version; or, without
            `force`, there is a database already; or somebody uses the one that is there.
    """
    _check_free(database, force=force)
    _check_different(copy, database)
    if not schema.has_migration(_revision_of(copy)):
        raise BackupError(f"{copy} is of a version that this one does not know")
    with _draft_of(copy, database) as draft:
        # What the database before had not yet taken over from its log must not be taken for the new one's. It takes it
        # over first, and so has lost nothing if it stays.
        if database.exists():
            _empty_log(database)
        for suffix in ("-wal", "-shm"):
            database.with_name(database.name + suffix).unlink(missing_ok=True)
        draft.replace(database)


def draft_of(target: Path) -> Path:
    """Return the file that this process writes before it has the target's name."""
    return target.with_name(f"{target.name}.{os.getpid()}.draft")


def _check_free(path: Path, *, force: bool) -> None:
    if path.exists() and not force:
        raise BackupError(f"{path} is there already: use --force to replace it")


def _check_different(copy: Path, database: Path) -> None:
    if copy.exists() and database.exists() and copy.samefile(database):
        raise BackupError(f"{copy} is the database itself")


def _revision_of(path: Path) -> str:
    """Return the revision of a database of this service, or raise `BackupError` if the file is none."""
    if not path.is_file():
        raise BackupError(f"there is no file {path}")
    try:
        with closing(_open(path)) as connection:
            # That it is whole is checked of the copy.
            row: tuple[str] | None = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise BackupError(f"{path} is no database of this service: {error}") from None
    if row is None:
        raise BackupError(f"{path} is no database of this service: it was never migrated")
    return row[0]


@contextmanager
def _draft_of(source: Path, target: Path) -> Iterator[Path]:
    """Yield a verified copy of a database next to where it is to go; if it is left there, it is removed."""
    draft = draft_of(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        # It holds the hashes of passwords.
        draft.touch(mode=0o600)
        with closing(_open(source)) as connection:
            # One snapshot, however many write meanwhile: SQLite's backup interface would begin anew with each of them.
            connection.execute("VACUUM INTO ?", (str(draft),))
        with closing(_open(draft)) as connection:
            found = connection.execute("PRAGMA integrity_check").fetchone()[0]
        if found != "ok":
            raise BackupError(f"{source} is damaged: {found}")
        revision = _revision_of(draft)
        if schema.has_migration(revision) and (missing := schema.missing_in_file(draft, revision)):
            raise BackupError(f"{source} is incomplete: it has no {', '.join(missing)}")
        _flush(draft)
        yield draft
        _flush(target.parent)
    except (sqlite3.Error, DBAPIError) as error:
        raise BackupError(f"{source} can't be copied to {target}: {error}") from None
    except OSError as error:
        raise BackupError(f"{target} can't be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(existing_file(path, "ro"), uri=True)


def _empty_log(database: Path) -> None:
    """Bring what is in the log into the database, unless there is nothing to save: it is damaged, or none at all."""
    try:
        with closing(sqlite3.connect(database, timeout=0)) as connection:
            is_busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        return
    if is_busy:
        raise BackupError(f"{database} is in use")


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
