"""How a process works off a queue whose rows any process may claim: mails, and webhooks with their deliveries."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Generic, TypeVar

from events.failures import RepeatedFailure
from events.waiting import wait_for

logger = logging.getLogger(__name__)

_Claimed = TypeVar("_Claimed")


class QueueWorker(Generic[_Claimed]):
    """Claims what is due, and works on each in a task of its own, at most `max_concurrent` at a time.

    `claim` returns at most as many as it is asked for, each with a lease (`app.delivery.leases`). `work` must not
    raise. The queue is polled every `poll` seconds, and at once when the worker is woken. `name` is what is claimed,
    for the log.
    """

    def __init__(
        self,
        name: str,
        claim: Callable[[int], Awaitable[Sequence[_Claimed]]],
        work: Callable[[_Claimed], Coroutine[None, None, None]],
        *,
        max_concurrent: int,
        poll: float,
    ) -> None:
        self._claim = claim
        self._work = work
        self._max_concurrent = max_concurrent
        self._poll = poll
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._claiming = RepeatedFailure(logger, f"claiming {name}")

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called: work that takes long should end soon, and leave the rest to others."""
        return self._stopping.is_set()

    def wake(self) -> None:
        """Claim at once what has become due."""
        self._woken.set()

    def stop(self) -> None:
        """Let `run` end after the work that has begun."""
        self._stopping.set()
        self._woken.set()

    async def run(self) -> None:
        """Work until stopped, then finish what has begun."""
        working: set[asyncio.Task[None]] = set()
        while not self.is_stopping:
            self._woken.clear()
            working |= {asyncio.create_task(self._work(row)) for row in await self._claimed(len(working))}
            # Each task takes its share before the next claim counts what is taken.
            await asyncio.sleep(0)
            if len(working) < self._max_concurrent:
                await wait_for(self._woken, timeout=self._poll)
            else:
                await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
            working = {task for task in working if not task.done()}
        if working:
            await asyncio.wait(working)

    async def _claimed(self, working: int) -> Sequence[_Claimed]:
        try:
            claimed = await self._claim(self._max_concurrent - working)
        except Exception as error:  # noqa: BLE001 - whatever it was, the next time may go well
            self._claiming.failed(error)
            return []
        self._claiming.succeeded()
        return claimed
