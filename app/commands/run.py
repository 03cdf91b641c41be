"""`litestar run`: checks whose failure the operator should see at once, and the server."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from tempfile import TemporaryDirectory
from typing import Any

import click
import uvicorn
from litestar import Litestar
from litestar.plugins import CLIPlugin

from app.database import schema
from app.database.engines import Database
from app.database.faults import FAULTS, reason
from app.database.sqlite_lock import sole_user_of
from app.errors import ConfigurationError
from app.server.http_protocol import BoundedProtocol
from app.telemetry.metrics import DIRECTORY_VARIABLE

logger = logging.getLogger(__name__)

_DATABASE_ANSWER_SECONDS = 15
_GRACE_SECONDS = 20


class RunCommand(CLIPlugin):
    """Makes `litestar run` check port and database, print its address, and serve."""

    def __init__(self, database: Database, trusted_proxies: tuple[str, ...]) -> None:
        self._database = database
        self._trusted_proxies = trusted_proxies

    @contextmanager
    def server_lifespan(self, app: Litestar) -> Iterator[None]:  # noqa: ARG002
        """Run before the server starts.

        Raises:
            SystemExit: Something is missing; the message is one line for the operator.
        """
        # Uvicorn reads it. Its default would believe the X-Forwarded-For of every local client.
        os.environ["FORWARDED_ALLOW_IPS"] = ",".join(self._trusted_proxies)
        context = click.get_current_context()
        _check(self._database, context.params)
        if not any(context.params[name] for name in ("reload", "reload_dir", "reload_include", "reload_exclude")):
            with _sharing_metrics(context.params["wc"]):
                _serve(context.obj, context.params)
            context.exit()
        yield

    def on_cli_init(self, cli: click.Group) -> None:
        """Add no command."""


@contextmanager
def _sharing_metrics(workers: int) -> Iterator[None]:
    """Give several workers a folder in which they share their metrics, so that any of them answers for all."""
    if workers == 1 or DIRECTORY_VARIABLE in os.environ:
        yield
        return
    try:
        folder = TemporaryDirectory(prefix="postline-metrics-")
    except OSError:
        raise SystemExit(
            "postline: several workers add up their metrics in a folder, and none can be made: "
            f"mount one for temporary files, or set {DIRECTORY_VARIABLE}"
        ) from None
    with folder as directory:
        os.environ[DIRECTORY_VARIABLE] = directory
        yield


def _serve(env: Any, options: Mapping[str, Any]) -> None:
    """Serve until stopped.

    Litestar's own command would start several workers in a child process that gets no signal, and would let a worker
    wait without end for an answer that is never finished.
    """
    # After its shutdown, uvicorn raises the signal that stopped it again. By then the exit code is 0.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        env.app_path,
        factory=env.is_app_factory,
        app_dir=str(env.cwd),
        workers=options["wc"],
        http=BoundedProtocol,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        access_log=False,
        server_header=False,
        # It is configured already.
        log_config=None,
        **{name: options[name] for name in ("host", "port", "fd", "uds", "ssl_certfile", "ssl_keyfile")},
    )


def _check(database: Database, options: Mapping[str, Any]) -> None:
    try:
        if database.is_sqlite and options["wc"] > 1:
            raise ConfigurationError(
                "SQLite serves one process only: set DATABASE_URL to a MySQL or MariaDB database to use several workers"
            )
        has_port = options["fd"] is None and options["uds"] is None
        if has_port:
            _check_port(options["host"], options["port"])
        asyncio.run(_check_database(database))
    except ConfigurationError as error:
        raise SystemExit(f"postline: {error}") from None
    if has_port:
        address = f"http://{options['host']}:{options['port']}"
        click.echo(f"Postline: {address}/ (the API: {address}/docs)")


def _check_port(host: str, port: int) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise ConfigurationError(f"can't listen on {host}:{port}: {error.strerror}") from None


async def _check_database(database: Database) -> None:
    try:
        if database.is_sqlite:
            with sole_user_of(database):
                await schema.upgrade(database)
            return
        if not await asyncio.wait_for(schema.is_current(database), _DATABASE_ANSWER_SECONDS):
            logger.warning("migrations are missing, so requests will fail: run `alembic upgrade head`")
    except FAULTS as error:
        raise ConfigurationError(
            f"the database {database.url.render_as_string(hide_password=True)} can't be used: {reason(error)}"
        ) from None
    finally:
        # The connections belong to the event loop that ends here.
        with suppress(*FAULTS):
            await database.close()
