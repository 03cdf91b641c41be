"""A MariaDB server of the tests' own, that can be paused, killed and brought back."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tests.e2e.server import free_port
from tests.own_server import OwnServer
from tests.services import program

_START_SECONDS = 30
# Only root has to say whom it runs as; in a container, others may have an id without a name.
_USER = ["--user=root"] if os.geteuid() == 0 else []


class MariaDBServer(OwnServer):
    """Keeps its data in a folder, and goes on with it when it is started again."""

    def __init__(self, command: str, folder: Path, *options: str) -> None:
        self.port = free_port()
        self._folder = folder
        self._command = [
            command,
            "--no-defaults",
            f"--datadir={folder / 'data'}",
            f"--socket={folder / 'socket'}",
            *_USER,
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            f"--port={self.port}",
            # Nothing here has to survive the machine, and it has to be quick.
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-log-file-size=8M",
            *options,
        ]

    def url(self, port: int | None = None) -> URL:
        """Return the address of the database `postline`, at the server's own port or at that of a proxy."""
        return URL.create(
            "mysql+asyncmy",
            "service",
            host="127.0.0.1",
            port=port or self.port,
            database="postline",
            query={"charset": "utf8mb4"},
        )

    def start(self) -> None:
        log = (self._folder / "log").open("ab")
        self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + _START_SECONDS
        while True:
            assert self._process.poll() is None, (self._folder / "log").read_text()
            try:
                self.execute("SELECT 1")
            except (DBAPIError, OSError):
                assert time.monotonic() < deadline, (self._folder / "log").read_text()
                time.sleep(0.05)
            else:
                return

    def execute(self, *statements: str) -> list[Any]:
        """Execute statements as the administrator, and return the last one's rows."""
        return asyncio.run(self._execute(statements))

    @contextmanager
    def holding(self, statement: str) -> Iterator[None]:
        """Hold the locks that a statement takes."""
        with asyncio.Runner() as runner:
            engine = self._administrator("REPEATABLE READ")
            connection = runner.run(engine.connect().start())
            try:
                runner.run(connection.execute(text("USE postline")))
                runner.run(connection.execute(text(statement)))
                yield
            finally:
                runner.run(connection.close())
                runner.run(engine.dispose())

    async def _execute(self, statements: tuple[str, ...]) -> list[Any]:
        engine = self._administrator("AUTOCOMMIT")
        try:
            async with engine.connect() as connection:
                results = [await connection.execute(text(statement)) for statement in statements]
            return list(results[-1]) if results[-1].returns_rows else []
        finally:
            await engine.dispose()

    def _administrator(self, isolation_level: str) -> AsyncEngine:
        socket = {"unix_socket": str(self._folder / "socket")}
        url = URL.create("mysql+asyncmy", "root", host="localhost", query=socket)
        return create_async_engine(url, isolation_level=isolation_level)


@contextmanager
def mariadb_server(folder: Path, *options: str) -> Iterator[MariaDBServer]:
    """Yield a started server with an empty database `postline`, and a user `service` who is no administrator."""
    server = MariaDBServer(program("mariadbd"), folder, *options)
    subprocess.run(
        [
            program("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={folder / 'data'}",
            *_USER,
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ],
        check=True,
        capture_output=True,
        timeout=_START_SECONDS,
    )
    try:
        server.start()
        server.execute(
            "CREATE DATABASE postline CHARACTER SET utf8mb4",
            "CREATE USER service@'127.0.0.1'",
            "GRANT ALL ON postline.* TO service@'127.0.0.1'",
        )
        yield server
    finally:
        server.kill()
