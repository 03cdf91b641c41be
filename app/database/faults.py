"""What can go wrong with a database, for code that does not know SQLAlchemy."""

from sqlalchemy import URL
from sqlalchemy.exc import (
    DatabaseError,
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.errors import ConfigurationError


class FileReplaced(OSError):
    """The SQLite file of the running service was removed, replaced or cut short. The message says which."""


# MySQL reports a missing table, as all are before the migrations, as a ProgrammingError.
UNAVAILABLE = (OperationalError, InterfaceError, InternalError, ProgrammingError)
"""The database refused a statement, or did not answer it."""

DAMAGED = DatabaseError
"""SQLite reports a damaged file as this very class, and what a statement did wrong as classes below it."""

POOL_EXHAUSTED = PoolTimeoutError
"""No connection came free in time."""

FAULTS = (SQLAlchemyError, OSError, TimeoutError)
"""Any of these, and a server that can't be reached."""


def reason(error: BaseException) -> str:
    """Return what the driver said, for an operator. With MySQL, that may quote what was being written."""
    return str(getattr(error, "orig", None) or error)


def unusable(url: URL, error: BaseException) -> ConfigurationError:
    """Return why the service can't start on this database, in one line."""
    lines = reason(error).splitlines() or [type(error).__name__]
    return ConfigurationError(f"the database {url.render_as_string(hide_password=True)} can't be used: {lines[0]}")


def code(error: BaseException) -> str:
    """Return the driver's error by its type and number, without what the server may have quoted."""
    driver_error = (error.orig if isinstance(error, DBAPIError) else None) or error
    return " ".join(map(str, (type(driver_error).__name__, *driver_error.args[:1])))
