"""Waiting that ends early."""

import asyncio
from contextlib import suppress


async def happens(event: asyncio.Event, *, within: float) -> bool:
    """Wait until the event is set, for so many seconds at most, and return whether it is."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            await event.wait()
    return event.is_set()
