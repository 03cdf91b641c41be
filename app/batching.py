"""Coalesce concurrent calls into batches, for work where a batch costs little more than one call."""

import asyncio
import contextvars
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Sequence, Set
from enum import Enum
from typing import Final, Generic, NamedTuple, TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class Postponed(Enum):
    """What a function returns for an item that it could not handle now, and may be able to soon."""

    POSTPONED = "postponed"


POSTPONED: Final = Postponed.POSTPONED


class PostponedTooOften(Exception):
    """An item could not be handled in any of the batches that it was put into."""


class _Call(NamedTuple, Generic[ItemT, ResultT]):
    item: ItemT
    owner: Hashable
    answer: asyncio.Future[ResultT]
    context: contextvars.Context
    postponements: int = 0


class Batching(Generic[ItemT, ResultT]):
    """Calls a function with as many items as are waiting; items that come while it is busy form the next batch.

    A single item is handled at once, alone. An item is never in a batch that was started before the item came. Up to
    `max_concurrent` batches run side by side; one that takes longer than `slow_seconds` is no longer counted, so it
    does not delay the next. The function runs in the context (`contextvars`) of its first item's caller.

    If more items wait than fit into a batch, it takes one of each owner, then a second of each, and so on: one owner
    with many items does not delay the others. An owner's items are never in two batches that run side by side,
    where the second would wait for what the first has locked. Without `owner_of` all items are taken in the order they
    came.

    An item for which the function returns `POSTPONED` is put into the next batch, up to `max_postponements` times. If
    that happens to all items of a batch, the next one waits for `pause_seconds`. For `serial_seconds` after an item was
    postponed, batches run one at a time, except slow ones: the fewer there are, the less often they block each other.
    """

    def __init__(
        self,
        handle: Callable[[Sequence[ItemT]], Awaitable[Sequence[ResultT | Postponed]]],
        *,
        max_items: int = 64,
        max_concurrent: int = 1,
        slow_seconds: float = 0.05,
        max_postponements: int = 10,
        pause_seconds: float = 0.005,
        serial_seconds: float = 1,
        owner_of: Callable[[ItemT], Hashable] | None = None,
    ) -> None:
        """Take the function, which returns the results in the order of its items."""
        self._handle = handle
        self._max_items = max_items
        self._max_concurrent = max_concurrent
        self._slow_seconds = slow_seconds
        self._max_postponements = max_postponements
        self._pause_seconds = pause_seconds
        self._serial_seconds = serial_seconds
        self._owner_of = owner_of
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[_Call[ItemT, ResultT]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._started = 0
        self._is_starting = False
        # Of the batches that run, by number: whose items they have, and for those that delay the next, the timer that
        # stops counting them.
        self._owners: dict[int, Set[Hashable]] = {}
        self._counted: dict[int, asyncio.TimerHandle] = {}
        # Until this time of the event loop, batches run one at a time.
        self._serial_until = 0.0

    async def __call__(self, item: ItemT) -> ResultT:
        """Return the function's result for the item. A caller that is cancelled does not take its item back.

        Raises:
            PostponedTooOften: The function returned `POSTPONED` for the item `max_postponements` times and once more.
            Exception: The function failed or was cancelled, and with it the whole batch.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            # What an earlier loop left undone when it ended has no caller any more.
            self._loop, self._is_starting, self._serial_until = loop, False, 0.0
            self._waiting, self._tasks, self._owners, self._counted = [], set(), {}, {}
        owner = None if self._owner_of is None else self._owner_of(item)
        call = _Call[ItemT, ResultT](item, owner, loop.create_future(), contextvars.copy_context())
        self._waiting.append(call)
        if not self._is_starting and self._has_room(loop):
            self._is_starting = True
            # After everything that is already scheduled, so that requests which came in together share a batch.
            loop.call_soon(self._start, loop)
        return await call.answer

    def _has_room(self, loop: asyncio.AbstractEventLoop) -> bool:
        return len(self._counted) < (1 if loop.time() < self._serial_until else self._max_concurrent)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_starting = False
        while self._has_room(loop) and (batch := self._take()):
            self._started += 1
            task = loop.create_task(self._run(batch, self._started), context=batch[0].context)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            if self._owner_of is not None:
                self._owners[self._started] = {call.owner for call in batch}
            self._counted[self._started] = loop.call_later(self._slow_seconds, self._stop_counting, self._started)

    def _take(self) -> list[_Call[ItemT, ResultT]]:
        """Remove the calls of the next batch from those that wait, and return them."""
        waiting = self._waiting
        busy = set[Hashable]().union(*self._owners.values())
        if not busy and len(waiting) <= self._max_items:
            self._waiting = []
            return waiting
        ranked = list[tuple[int, int]]()
        counts = Counter[Hashable]()
        for number, call in enumerate(waiting):
            if call.owner not in busy:
                ranked.append((counts[call.owner], number))
                counts[call.owner] += 1
        chosen = {number for _, number in sorted(ranked)[: self._max_items]}
        self._waiting = [call for number, call in enumerate(waiting) if number not in chosen]
        # In the order they came in, which is that of their owner's changes.
        return [waiting[number] for number in sorted(chosen)]

    def _stop_counting(self, number: int) -> None:
        """Let a batch that is slow delay the next no more."""
        del self._counted[number]
        self._start(asyncio.get_running_loop())

    def _start_next(self, number: int) -> None:
        """Start what has waited for a batch that is done."""
        self._owners.pop(number, None)
        timer = self._counted.pop(number, None)
        if timer is not None:
            timer.cancel()
        self._start(asyncio.get_running_loop())

    async def _run(self, batch: list[_Call[ItemT, ResultT]], number: int) -> None:
        try:
            results = await self._handle([call.item for call in batch])
            answered = list(zip(batch, results, strict=True))
        except BaseException as failure:
            # The callers were not cancelled themselves, so a cancellation reaches them as a failure.
            error = failure if isinstance(failure, Exception) else RuntimeError("the batch was cancelled")
            for call in batch:
                if not call.answer.done():
                    call.answer.set_exception(error)
            if error is not failure:
                # Not at once, because the loop may be ending.
                asyncio.get_running_loop().call_later(self._slow_seconds, self._start_next, number)
                raise
            self._start_next(number)
        else:
            postponed = [call for call, result in answered if result is POSTPONED]
            if postponed:
                self._put_back(postponed)
            if len(postponed) < len(batch):
                # First, so that the function is busy again while the callers continue.
                self._start_next(number)
            else:
                asyncio.get_running_loop().call_later(self._pause_seconds, self._start_next, number)
            for call, result in answered:
                if result is not POSTPONED and not call.answer.done():
                    call.answer.set_result(result)

    def _put_back(self, calls: Sequence[_Call[ItemT, ResultT]]) -> None:
        """Let these calls wait again, in front of the others, or fail those that were postponed too often."""
        self._serial_until = asyncio.get_running_loop().time() + self._serial_seconds
        again = list[_Call[ItemT, ResultT]]()
        for call in calls:
            if call.postponements < self._max_postponements:
                again.append(call._replace(postponements=call.postponements + 1))
            elif not call.answer.done():
                call.answer.set_exception(PostponedTooOften())
        self._waiting[:0] = again
