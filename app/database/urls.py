"""Database URLs: which are supported, and with which driver."""

from inspect import signature
from pathlib import Path

from asyncmy.connection import Connection as MySQLConnection
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

DatabaseURL = URL

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "mysql": "mysql+asyncmy", "mariadb": "mysql+asyncmy"}
_LARGEST_PORT = 65_535


def sqlite_url(path: Path) -> URL:
    """Return the URL of a SQLite file."""
    return URL.create(_DRIVERS["sqlite"], database=str(path))


def parse_database_url(value: str) -> URL:
    """Return the URL, with the driver that is used for its database.

    Raises:
        ValueError: It is none, or of a database that can't be used; the message says which, and repeats nothing of it.
    """
    try:
        url = make_url(value)
        if url.port is not None and url.port > _LARGEST_PORT:
            raise ArgumentError
    except ArgumentError:
        raise ValueError("is no database URL, such as mysql+asyncmy://user:password@host:3306/name") from None
    backend = url.get_backend_name()
    if backend not in _DRIVERS or (url.drivername not in {backend, _DRIVERS[backend]}):
        raise ValueError("names a database that is not supported; use mysql+asyncmy://… or sqlite+aiosqlite:///…")
    if not url.database or url.database.startswith((":memory:", "file:")):
        raise ValueError(
            "names no lasting database; use mysql+asyncmy://user:password@host:3306/name or sqlite:///path/to/file"
        )
    url = url.set(drivername=_DRIVERS[backend])
    try:
        _, options = url.get_dialect()().create_connect_args(url)
        if backend != "sqlite":
            # What it is to wait for an answer is set by the service.
            signature(MySQLConnection).bind(connect_timeout=0, **options)
    except (TypeError, ValueError):
        raise ValueError("has an option after the question mark that can't be used") from None
    return url
