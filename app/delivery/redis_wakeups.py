"""Wakes feeds on other nodes, over Litestar's channels on Redis."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from uuid import UUID

from litestar.channels.backends.redis import RedisChannelsPubSubBackend

from app.database.redis_connection import RedisConnection
from events.failures import RepeatedFailure
from events.types import PostEvent, SessionsChanged
from events.waiting import wait_for
from events.wakeups import Wakeups

logger = logging.getLogger(__name__)

_MAX_WAITING = 10_000
_CANCEL_SECONDS = 0.1
_UUID_BYTES = 16


class RedisWakeups:
    """Publishes whose timeline changed, and wakes the followers here when other nodes publish.

    It only makes feeds quicker: a wake-up that is lost while Redis is away is found by `TimelineWatcher` within half a
    second.
    """

    def __init__(self, redis: RedisConnection, wakeups: Wakeups, *, retry_seconds: float = 1) -> None:
        self._redis = redis.client
        self._channel = f"{redis.prefix}:wakeups"
        self._wakeups = wakeups
        self._retry_seconds = retry_seconds
        self._changed: asyncio.Queue[UUID] = asyncio.Queue(_MAX_WAITING)
        self._stopping = asyncio.Event()
        self._failure = RepeatedFailure(logger, "waking the feeds of other nodes")

    async def on_change(self, event: PostEvent | SessionsChanged) -> None:
        """Publish the change in the background. If too many wait to be published, it is dropped."""
        if not self._changed.full():
            self._changed.put_nowait(event.user_id)

    async def run(self) -> None:
        """Publish and listen until stopped. If Redis is away, reconnect every second."""
        tasks = [asyncio.create_task(self._keep_connected(work)) for work in (self._publish, self._listen)]
        await self._stopping.wait()
        pending = set(tasks)
        while pending:
            # Cancelled again and again: redis-py loses a cancellation that arrives together with a timeout of its own.
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=_CANCEL_SECONDS)

    def stop(self) -> None:
        """Let `run` end."""
        self._stopping.set()

    async def _keep_connected(self, work: Callable[[RedisChannelsPubSubBackend], Awaitable[None]]) -> None:
        while not self._stopping.is_set():
            backend = RedisChannelsPubSubBackend(redis=self._redis, stream_sleep_no_subscriptions=1)
            try:
                try:
                    await work(backend)
                finally:
                    await backend.on_shutdown()
            except Exception as error:  # noqa: BLE001 - whatever it was, the next attempt may succeed
                self._failure.failed(error)
            await wait_for(self._stopping, timeout=self._retry_seconds)

    async def _publish(self, backend: RedisChannelsPubSubBackend) -> None:
        while True:
            user_id = await self._changed.get()
            await backend.publish(user_id.bytes, [self._channel])
            self._failure.succeeded()

    async def _listen(self, backend: RedisChannelsPubSubBackend) -> None:
        await backend.subscribe([self._channel])
        self._failure.succeeded()
        async for _, message in backend.stream_events():
            if len(message) == _UUID_BYTES:
                self._wakeups.wake(UUID(bytes=message))
