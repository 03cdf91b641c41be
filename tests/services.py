"""The servers that some tests need, and what becomes of a test where one is missing."""

import asyncio
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

MARIADB = make_url(os.environ.get("TESTING_DATABASE_URL", "mysql+asyncmy://root@127.0.0.1:3306/postline_test"))


REDIS_URL = os.environ.get("TESTING_REDIS_URL", "redis://127.0.0.1:6379/0")


def redis_url() -> str:
    """Return the address of a Redis that answers."""
    parts = urlsplit(REDIS_URL)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 6379), timeout=5):
            return REDIS_URL
    except OSError as error:
        missing(f"Redis at {parts.hostname}:{parts.port}", error)


@contextmanager
def fresh_mariadb_database(server: URL = MARIADB) -> Iterator[URL]:
    """Yield the address of an empty database, which is dropped afterwards."""
    name = f"{server.database or 'postline_test'}_{uuid4().hex[:12]}"
    try:
        # As MariaDB makes one that nobody says more of.
        asyncio.run(_execute(server, f"CREATE DATABASE `{name}` CHARACTER SET latin1"))
    except (DBAPIError, OSError) as error:
        missing(f"MariaDB or MySQL at {server.host}:{server.port}", error)
    try:
        yield server.set(database=name, query={"charset": "utf8mb4"})
    finally:
        asyncio.run(_execute(server, f"DROP DATABASE `{name}`"))


def mariadb_variables(*names: str, server: URL = MARIADB) -> dict[str, str]:
    """Return what the server says of itself, by the variables' names."""

    async def read() -> dict[str, str]:
        engine = create_async_engine(server.set(database="information_schema"))
        try:
            async with engine.connect() as connection:
                values = (await connection.execute(text(f"SELECT {', '.join(f'@@{name}' for name in names)}"))).one()
        finally:
            await engine.dispose()
        return dict(zip(names, map(str, values), strict=True))

    return asyncio.run(read())


def program(name: str) -> str:
    """Return where a program is that a test starts."""
    path = shutil.which(name)
    if path is None:
        missing(name, "it is not on the PATH")
    return path


def ipv6_loopback() -> None:
    """Skip the test if the machine has no `::1`, as in a container of an engine before Docker 26."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        missing("IPv6 loopback", error)


def missing(service: str, reason: object) -> NoReturn:
    """Skip the test that needs the service, or fail it where `REQUIRE_SERVICES=1` says that all are there.

    All but those that `WITHOUT_SERVICES` names, with commas between them.
    """
    message = f"needs {service}: {reason}"
    left_out = os.environ.get("WITHOUT_SERVICES", "").split(",")
    if os.environ.get("REQUIRE_SERVICES") == "1" and service not in left_out:
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


async def _execute(server: URL, statement: str) -> None:
    engine = create_async_engine(server.set(database="information_schema"), connect_args={"connect_timeout": 5})
    try:
        async with engine.begin() as connection:
            await connection.execute(text(statement))
    finally:
        await engine.dispose()
