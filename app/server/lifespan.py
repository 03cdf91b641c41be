"""The life cycle of a serving process: what it holds and does from start to shutdown."""

import asyncio
import gc
import itertools
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from app.auth.passwords import Argon2Passwords
from app.database import schema
from app.database.engines import Database
from app.database.faults import FAULTS, unusable
from app.database.sqlite_lock import sole_user_of
from app.server.signals import called_on_stop_signals
from events.failures import RepeatedFailure
from events.waiting import wait_for
from events.wakeups import Wakeups

logger = logging.getLogger(__name__)

# In new objects. With Python's 700, those of the requests in flight are scanned again and again: a twentieth of the
# processor time under load.
_COLLECT_AFTER = 10_000
_LIFESPANS_PER_COLLECTION = 20
_ended = itertools.count(1)


class BackgroundTask(Protocol):
    """Work that the process does besides answering requests."""

    async def run(self) -> None:
        """Work until stopped, then return within seconds, with nothing half done."""

    def stop(self) -> None:
        """Let `run` return."""


class Resource(Protocol):
    """Something that holds connections while the process serves."""

    async def close(self) -> None:
        """Close them all."""


@dataclass(frozen=True)
class LifespanPolicy:
    """How long, in seconds, to wait before a failed background task is restarted, and for all of them at shutdown."""

    restart_delay: float = 1
    shutdown_timeout: float = 18


@asynccontextmanager
async def lifespan(
    database: Database,
    passwords: Argon2Passwords,
    wakeups: Wakeups,
    background: Sequence[BackgroundTask],
    resources: Sequence[Resource],
    *,
    policy: LifespanPolicy,
) -> AsyncIterator[None]:
    """Run the background tasks while the process serves, then shut down gracefully.

    A SQLite database is locked for this process and migrated first; one in memory begins here.

    Raises:
        ConfigurationError: Another process serves the same SQLite file, or it can't be used.
    """
    with ExitStack() as stack:
        stack.callback(passwords.close)
        if database.is_sqlite:
            stack.enter_context(sole_user_of(database))
            if database.is_in_memory:
                logger.warning("the database is in memory: all of it is gone when this process stops")
            try:
                await schema.upgrade(database)
                stack.enter_context(database.serving_file())
            except FAULTS as error:
                raise unusable(database.url, error) from None
        stack.enter_context(called_on_stop_signals(wakeups.stop))
        # The objects made so far live until the end. To scan them for garbage would take tens of milliseconds.
        gc.freeze()
        stack.callback(_unfreeze)
        stack.callback(gc.set_threshold, *gc.get_threshold())
        gc.set_threshold(_COLLECT_AFTER)
        stopping = asyncio.Event()
        running = [asyncio.create_task(_keep_running(task, stopping, policy.restart_delay)) for task in background]
        try:
            yield
        finally:
            wakeups.stop()
            stopping.set()
            for task in background:
                task.stop()
            _, hanging = await asyncio.wait(running, timeout=policy.shutdown_timeout)
            for each in hanging:
                each.cancel()
            if hanging:
                await asyncio.wait(hanging, timeout=policy.shutdown_timeout)
            for resource in resources:
                try:
                    await resource.close()
                except Exception as error:  # noqa: BLE001 - the others must be closed too
                    logger.warning("%s could not be closed: %s", type(resource).__name__, type(error).__name__)


def _unfreeze() -> None:
    """Let what ended be collected.

    To freeze resets the count after which all objects are scanned. In a process that starts one application after
    another, as tests do, they never would be, so this does it now and then.
    """
    gc.unfreeze()
    if next(_ended) % _LIFESPANS_PER_COLLECTION == 0:
        gc.collect()


async def _keep_running(task: BackgroundTask, stopping: asyncio.Event, restart_delay: float) -> None:
    """Restart a task that fails with an exception that it does not handle itself."""
    failure = RepeatedFailure(logger, type(task).__name__, then="is restarted", level=logging.ERROR)
    while not stopping.is_set():
        try:
            await task.run()
        except Exception as error:  # noqa: BLE001 - whatever it was, the next run may succeed
            failure.failed(error)
        await wait_for(stopping, timeout=restart_delay)
