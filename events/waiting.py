"""Waiting for an event with a timeout, and exponential backoff."""

import asyncio
import random
from contextlib import suppress
from datetime import timedelta


async def wait_for(event: asyncio.Event, *, timeout: float) -> bool:  # noqa: ASYNC109 - it returns instead of raising
    """Wait until the event is set, at most `timeout` seconds, and return whether it is."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            await event.wait()
    return event.is_set()


def backoff(attempts: int, *, first: float, longest: float) -> timedelta:
    """Return how long to wait before the next attempt, after `attempts` failures.

    The delay is `first` seconds after the first failure, and doubles with each further one, up to `longest`. Jitter
    then shortens it by up to half.
    """
    full = min(longest, first * 2.0 ** (attempts - 1))
    return timedelta(seconds=full * random.uniform(0.5, 1))  # noqa: S311
