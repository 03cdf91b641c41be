"""The life of what the process holds and does while it serves."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import Protocol

from app import schema
from app.database import Database
from app.delivery.wakeups import Wakeups
from app.passwords import Argon2Passwords
from app.sqlite_lock import sole_user_of
from app.stopping import called_on_stop_signals
from events.waiting import happens

logger = logging.getLogger(__name__)

_END_OF_WORK_SECONDS = 15
_PAUSE_SECONDS = 1


class BackgroundWork(Protocol):
    """What the process does besides answering."""

    async def run(self) -> None:
        """Do it until told to stop, and then end within seconds, with nothing half done."""

    def stop(self) -> None:
        """Let `run` end."""


class Connections(Protocol):
    """Connections that the process holds while it serves."""

    async def close(self) -> None:
        """Close them all."""


@asynccontextmanager
async def serving(
    database: Database,
    passwords: Argon2Passwords,
    wakeups: Wakeups,
    work: Sequence[BackgroundWork],
    connections: Sequence[Connections],
) -> AsyncIterator[None]:
    """Hold what the process needs while it serves. A SQLite database is migrated first, and held alone.

    Raises:
        ConfigurationError: Another process serves the same SQLite file.
    """
    with ExitStack() as stack:
        stack.callback(passwords.close)
        if database.is_sqlite:
            stack.enter_context(sole_user_of(database))
            await schema.upgrade(database)
        stack.enter_context(called_on_stop_signals(wakeups.stop))
        # What was made to serve stays until the end: to look through it for garbage takes tens of milliseconds.
        gc.freeze()
        stack.callback(gc.unfreeze)
        stopping = asyncio.Event()
        running = [asyncio.create_task(_keep_doing(each, stopping)) for each in work]
        try:
            yield
        finally:
            wakeups.stop()
            stopping.set()
            for each in work:
                each.stop()
            _, hanging = await asyncio.wait(running, timeout=_END_OF_WORK_SECONDS)
            for task in hanging:
                task.cancel()
            if hanging:
                await asyncio.wait(hanging, timeout=_END_OF_WORK_SECONDS)
            for held in connections:
                try:
                    await held.close()
                except Exception as error:  # noqa: BLE001 - the others are to be closed too
                    logger.warning("%s could not be closed: %s", type(held).__name__, type(error).__name__)


async def _keep_doing(work: BackgroundWork, stopping: asyncio.Event) -> None:
    """Begin again what fails in a way that it does not expect itself, until told to stop."""
    while not stopping.is_set():
        try:
            await work.run()
        except Exception as error:  # noqa: BLE001 - whatever it was, the next time may go well
            logger.error("%s failed and begins again: %s", type(work).__name__, type(error).__name__)  # noqa: TRY400 - a message may quote data
        await happens(stopping, within=_PAUSE_SECONDS)
