"""Answering several calls at once, where that costs hardly more than answering one."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class _Call(NamedTuple, Generic[ItemT, ResultT]):
    item: ItemT
    answer: asyncio.Future[ResultT]
    context: contextvars.Context


class Batching(Generic[ItemT, ResultT]):
    """Hands items to a function, as many at once as there are: those that come while it is busy are its next batch.

    A lone item is handled by itself, and at once. No item is in a batch that was handed over before it came. A batch
    that takes longer than 50 ms holds up no other: the next one is begun beside it. The function runs in the context of
    its first item's caller.
    """

    def __init__(
        self,
        handle: Callable[[Sequence[ItemT]], Awaitable[Sequence[ResultT]]],
        *,
        largest: int = 64,
        patience: float = 0.05,
    ) -> None:
        """Take the function, which returns results in its items' order, and how many items it may get at once."""
        self._patience = patience
        self._handle = handle
        self._largest = largest
        self._waiting: list[_Call[ItemT, ResultT]] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._feeder: asyncio.Task[None] | None = None

    async def __call__(self, item: ItemT) -> ResultT:
        """Return the function's answer to the item. Who stops waiting for it does not take the item back.

        Raises:
            Exception: The function failed or was cancelled, and with it the whole batch.
        """
        call = _Call[ItemT, ResultT](item, asyncio.get_running_loop().create_future(), contextvars.copy_context())
        self._waiting.append(call)
        # Done, and still here, is one that was cancelled, as a loop does with all that it leaves undone.
        if self._feeder is None or self._feeder.done():
            # It begins after everything that is already due, so that what came in together is handled together.
            self._feeder = asyncio.create_task(self._feed())
        return await call.answer

    async def _feed(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[: self._largest], self._waiting[self._largest :]
            task = asyncio.create_task(self._answer(batch), context=batch[0].context)
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            await asyncio.wait({task}, timeout=self._patience)
        self._feeder = None

    async def _answer(self, batch: list[_Call[ItemT, ResultT]]) -> None:
        try:
            results = await self._handle([call.item for call in batch])
        except BaseException as failure:
            # Of a cancellation whoever waits is told as of a failure, for they were not cancelled themselves.
            error = failure if isinstance(failure, Exception) else RuntimeError("the batch was cancelled")
            for call in batch:
                if not call.answer.done():
                    call.answer.set_exception(error)
            if error is not failure:
                raise
        else:
            for call, result in zip(batch, results, strict=True):
                if not call.answer.done():
                    call.answer.set_result(result)
