"""Serving with uvicorn: in this process, in several workers, or in one that is restarted when the code changes."""

import logging
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any

import uvicorn
from typing_extensions import override
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import ChangeReload, Multiprocess

from app.server.http_protocol import BoundedProtocol

logger = logging.getLogger(__name__)

_GRACE_SECONDS = 20
# Uvicorn's 5 seconds are too short to start a worker on a slow processor.
_HEALTH_CHECK_SECONDS = 60


class ServerConfig(uvicorn.Config):
    """How the service is served, wherever: in the process that was started, or in one that it starts."""

    def __init__(self, app: str, **options: Any) -> None:
        super().__init__(
            app,
            http=BoundedProtocol,
            ws="none",
            timeout_graceful_shutdown=_GRACE_SECONDS,
            timeout_worker_healthcheck=_HEALTH_CHECK_SECONDS,
            access_log=False,
            server_header=False,
            # It is configured already.
            log_config=None,
            **options,
        )

    @override
    def configure_logging(self) -> None:
        """Prepare the process: uvicorn calls this first in each that it starts."""
        super().configure_logging()
        parent = multiprocessing.parent_process()
        if parent is not None:
            exit_on_stop_signals()
            Thread(target=_stop_with, args=(parent,), name="parent", daemon=True).start()


def exit_on_stop_signals() -> None:
    """Let SIGTERM end the process with exit code 0, and SIGHUP do what SIGTERM does, unless it is ignored (`nohup`).

    While uvicorn serves, its own handler of SIGTERM shuts down gracefully; after that, it raises the signal once more.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))


def serve(config: ServerConfig, sockets: Sequence[socket.socket]) -> None:
    """Serve until a signal stops it.

    Raises:
        SystemExit: The service could not start.
    """
    listening = list(sockets)
    # After a graceful shutdown, uvicorn raises SIGINT once more.
    with suppress(KeyboardInterrupt):
        if config.should_reload:
            ChangeReload(config, target=uvicorn.Server(config).run, sockets=listening).run()
        elif config.workers > 1:
            supervisor = Multiprocess(config, sockets=listening)
            supervisor.run()
            if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
                sys.exit(STARTUP_FAILURE)
        else:
            server = uvicorn.Server(config)
            server.run(sockets=listening)
            if not server.started:
                sys.exit(STARTUP_FAILURE)


def _stop_with(parent: BaseProcess) -> None:
    """Stop when the process that started this one has ended, however it did: nobody else would stop this one."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
