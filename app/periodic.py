"""Background work that repeats."""

import asyncio
import logging
from abc import ABC, abstractmethod

from events.failures import RepeatedFailure
from events.waiting import wait_for

logger = logging.getLogger(__name__)


class PeriodicTask(ABC):
    """Calls `tick` every `interval` seconds until it is stopped; the first time after one interval.

    A tick that raises is logged as `RepeatedFailure` does, and the next one follows as if nothing had happened.
    """

    def __init__(self, name: str, interval: float) -> None:
        self._interval = interval
        self._stopping = asyncio.Event()
        self._failure = RepeatedFailure(logger, name)

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called: a long tick should end soon."""
        return self._stopping.is_set()

    @abstractmethod
    async def tick(self) -> None:
        """Do the work once."""

    async def run(self) -> None:
        """Tick until stopped."""
        while not await wait_for(self._stopping, timeout=self._interval):
            await self._try_to_tick()

    async def _try_to_tick(self) -> None:
        try:
            await self.tick()
        except Exception as error:  # noqa: BLE001 - whatever it was, the next tick may succeed
            self._failure.failed(error)
        else:
            self._failure.succeeded()

    def stop(self) -> None:
        """Let `run` return after the tick that has begun."""
        self._stopping.set()
