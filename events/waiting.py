"""Waiting: until something happens, and longer after each failure."""

import asyncio
import random
from contextlib import suppress
from datetime import timedelta


async def happens(event: asyncio.Event, *, within: float) -> bool:
    """Wait until the event is set, for so many seconds at most, and return whether it is."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            await event.wait()
    return event.is_set()


def backoff(attempts: int, *, first: float, longest: float) -> timedelta:
    """Return how long to wait after so many failures.

    It is a random part, between half and all, of `first` seconds, doubled up to `longest` for each failure after one.
    """
    full = min(longest, first * 2.0 ** (attempts - 1))
    return timedelta(seconds=full * random.uniform(0.5, 1))  # noqa: S311
