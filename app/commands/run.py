"""`litestar run`: checks whose failure the operator should see at once, and the server."""

import asyncio
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from tempfile import TemporaryDirectory
from typing import Any

import click
from litestar import Litestar
from litestar.plugins import CLIPlugin
from typing_extensions import override

from app.database import schema
from app.database.engines import Database
from app.database.faults import FAULTS, unusable
from app.database.server_settings import check_server_settings
from app.database.sqlite_lock import lock_for_server, sole_user_of
from app.errors import ConfigurationError
from app.server.listening import Listening, listening_on_descriptor, listening_on_path, listening_on_port
from app.server.serving import ServerConfig, exit_on_stop_signals, serve
from app.telemetry.metrics import DIRECTORY_VARIABLE

logger = logging.getLogger(__name__)

_DATABASE_ANSWER_SECONDS = 15
_MAX_PORT = 65_535
_RELOAD_OPTIONS = {
    "reload_dir": "reload_dirs",
    "reload_include": "reload_includes",
    "reload_exclude": "reload_excludes",
}


class RunCommand(CLIPlugin):
    """Makes `litestar run` check port and database, print its address, and serve."""

    def __init__(
        self, database: Database, trusted_proxies: tuple[str, ...], *, keep_alive_seconds: int, logs_json: bool
    ) -> None:
        self._database = database
        self._trusted_proxies = trusted_proxies
        self._keep_alive_seconds = keep_alive_seconds
        self._logs_json = logs_json

    @contextmanager
    def server_lifespan(self, app: Litestar) -> Iterator[None]:  # noqa: ARG002
        """Serve; Litestar's own command never gets to.

        It would start several workers, or one that is reloaded, in a child process that gets no signal, and would let a
        worker wait without end for an answer that is never finished.

        Raises:
            SystemExit: Something is missing; the message is one line for the operator.
        """
        exit_on_stop_signals()
        # Uvicorn reads it. Its default would believe the X-Forwarded-For of every local client.
        os.environ["FORWARDED_ALLOW_IPS"] = ",".join(self._trusted_proxies)
        context = click.get_current_context()
        try:
            self._serve(context.obj, context.params)
        except ConfigurationError as error:
            raise SystemExit(f"postline: {error}") from None
        context.exit()
        yield

    def on_cli_init(self, cli: click.Group) -> None:
        """Bound the options of `run`: workers are not bounded by the cores of this machine, but ports are."""
        # Litestar would show what it is and how it is set up.
        os.environ.setdefault("LITESTAR_QUIET_CONSOLE", "1")
        for option in cli.commands["run"].params:
            if option.name == "wc":
                option.type = _WholeNumber(min=1)
            elif option.name == "port":
                option.type = _WholeNumber(min=0, max=_MAX_PORT)
            elif option.name == "fd":
                option.type = _WholeNumber(min=0)

    def _serve(self, env: Any, options: Mapping[str, Any]) -> None:
        if self._database.is_sqlite and options["wc"] > 1:
            raise ConfigurationError(
                "SQLite serves one process only: set DATABASE_URL to a MySQL or MariaDB database to use several workers"
            )
        with _listening(options) as listening:
            config = self._config(env, options)
            asyncio.run(_check_database(self._database, serves_here=not config.should_reload))
            self._announce(listening.address)
            listening.begin()
            with _sharing_metrics(options["wc"]):
                serve(config, listening.sockets)

    def _config(self, env: Any, options: Mapping[str, Any]) -> ServerConfig:
        watched = {name: list(options[option]) or None for option, name in _RELOAD_OPTIONS.items()}
        return ServerConfig(
            env.app_path,
            factory=env.is_app_factory,
            workers=options["wc"],
            timeout_keep_alive=self._keep_alive_seconds,
            proxy_headers=bool(self._trusted_proxies),
            reload=options["reload"] or any(watched.values()),
            ssl_certfile=options["ssl_certfile"],
            ssl_keyfile=options["ssl_keyfile"],
            **watched,
        )

    def _announce(self, address: str) -> None:
        text = f"Postline: {address}"
        if address.startswith("http"):
            text += f"/ (the API: {address}/docs)"
        if self._logs_json:
            logger.info(text)
        else:
            click.echo(text)


class _WholeNumber(click.IntRange):
    """A whole number in a range. What is none ends the command with one line, like all else that can't be used."""

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            most = "" if self.max is None else f" to {self.max}"
            name = param.opts[-1] if param else "the option"
            raise SystemExit(f"postline: {name} takes a whole number from {self.min}{most}") from None


@contextmanager
def _sharing_metrics(workers: int) -> Iterator[None]:
    """Give several workers a folder in which they share their metrics, so that any of them answers for all."""
    if workers == 1 or DIRECTORY_VARIABLE in os.environ:
        yield
        return
    with ExitStack() as stack:
        try:
            folder = TemporaryDirectory(prefix="postline-metrics-", ignore_cleanup_errors=True)
            os.environ[DIRECTORY_VARIABLE] = stack.enter_context(folder)
        except OSError as error:
            # Each worker finds that it can't be used, and serves without metrics.
            os.environ[DIRECTORY_VARIABLE] = f"{os.devnull}/postline-metrics"
            logger.warning(
                "no folder can be made in which workers share their metrics, so they have none: %s; mount one for "
                "temporary files, or set %s",
                error.strerror,
                DIRECTORY_VARIABLE,
            )
        yield


def _listening(options: Mapping[str, Any]) -> AbstractContextManager[Listening]:
    if options["fd"] is not None:
        return listening_on_descriptor(options["fd"])
    if options["uds"] is not None:
        return listening_on_path(options["uds"])
    scheme = "http" if options["ssl_certfile"] is None else "https"
    return listening_on_port(options["host"], options["port"], scheme=scheme)


async def _check_database(database: Database, *, serves_here: bool) -> None:
    try:
        if database.is_in_memory:
            # It begins with the process that serves.
            return
        if database.is_sqlite:
            if serves_here:
                # Until the server takes it over, so that no other process can get between.
                lock_for_server(database)
            with nullcontext() if serves_here else sole_user_of(database):
                await schema.upgrade(database)
            return
        async with asyncio.timeout(_DATABASE_ANSWER_SECONDS):
            await check_server_settings(database)
            state = await schema.state(database)
            if state is schema.State.BEHIND:
                logger.warning("migrations are missing, so requests will fail: %s", schema.HOW_TO_MIGRATE)
            elif state is schema.State.AHEAD:
                logger.warning("a later version of the service has migrated the database; this one uses it as it is")
    except FAULTS as error:
        raise unusable(database.url, error) from None
    finally:
        # The connections belong to the event loop that ends here.
        with suppress(*FAULTS):
            await database.close()
