"""Waking followers on other nodes, over Litestar's channels on Redis."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from uuid import UUID

from litestar.channels.backends.redis import RedisChannelsPubSubBackend

from app.database.redis_connection import RedisConnection
from events.types import PostEvent, SessionsChanged
from events.waiting import wait_for
from events.wakeups import Wakeups

logger = logging.getLogger(__name__)

_MAX_WAITING = 10_000
_CANCEL_SECONDS = 0.1
_UUID_BYTES = 16


class RedisWakeups:
    """Tells the other nodes whose timeline changed, and wakes the followers here of what they tell.

    Nothing depends on it but how soon a follower looks: what is lost while Redis is away is noticed by
    `app.delivery.timeline_watcher` a little later.
    """

    def __init__(self, redis: RedisConnection, wakeups: Wakeups, *, retry_seconds: float = 1) -> None:
        self._redis = redis.client
        self._channel = f"{redis.prefix}:wakeups"
        self._wakeups = wakeups
        self._retry_seconds = retry_seconds
        self._changed: asyncio.Queue[UUID] = asyncio.Queue(_MAX_WAITING)
        self._stopping = asyncio.Event()

    async def on_change(self, event: PostEvent | SessionsChanged) -> None:
        """Tell the other nodes, in the background; where too much waits already, they have to find out themselves."""
        if not self._changed.full():
            self._changed.put_nowait(event.user_id)

    async def run(self) -> None:
        """Tell and listen until told to stop; where Redis is away, try again every second."""
        duties = [asyncio.create_task(self._persist(duty)) for duty in (self._tell, self._listen)]
        await self._stopping.wait()
        pending = set(duties)
        while pending:
            # Cancelled again and again: redis-py loses a cancellation that arrives together with a timeout of its own.
            for duty in pending:
                duty.cancel()
            _, pending = await asyncio.wait(pending, timeout=_CANCEL_SECONDS)

    def stop(self) -> None:
        """Let `run` end."""
        self._stopping.set()

    async def _persist(self, duty: Callable[[RedisChannelsPubSubBackend], Awaitable[None]]) -> None:
        while not self._stopping.is_set():
            backend = RedisChannelsPubSubBackend(redis=self._redis, stream_sleep_no_subscriptions=1)
            try:
                try:
                    await duty(backend)
                finally:
                    await backend.on_shutdown()
            except Exception as error:  # noqa: BLE001 - whatever it was, the next time may go well
                logger.warning("wake-ups do not reach other nodes: %s", type(error).__name__)
            await wait_for(self._stopping, timeout=self._retry_seconds)

    async def _tell(self, backend: RedisChannelsPubSubBackend) -> None:
        while True:
            user_id = await self._changed.get()
            await backend.publish(user_id.bytes, [self._channel])

    async def _listen(self, backend: RedisChannelsPubSubBackend) -> None:
        await backend.subscribe([self._channel])
        async for _, message in backend.stream_events():
            if len(message) == _UUID_BYTES:
                self._wakeups.wake(UUID(bytes=message))
