"""Following a timeline: a stream of its changes."""

import asyncio
from collections.abc import AsyncIterator
from enum import Enum, auto
from typing import NamedTuple
from uuid import UUID

from app.ports.queries import Queries
from app.ports.timelines import Timelines
from events.types import PostEvent
from events.wakeups import Wakeups


class Reset(NamedTuple):
    """The history after the requested version is not kept: read the list again, and resume after `version`."""

    version: int


class Signal(Enum):
    """What a feed yields besides events."""

    HEARTBEAT = auto()


class FeedService:
    """Streams the stored events of a timeline: in order, each exactly once."""

    def __init__(
        self,
        queries: Queries,
        timelines: Timelines,
        wakeups: Wakeups,
        *,
        heartbeat_seconds: float = 15,
        events_per_read: int = 100,
    ) -> None:
        self._queries = queries
        self._timelines = timelines
        self._wakeups = wakeups
        self._heartbeat_seconds = heartbeat_seconds
        self._events_per_read = events_per_read
        self._reads: dict[tuple[UUID, int, int], asyncio.Task[list[PostEvent]]] = {}

    async def follow(
        self, user_id: UUID, session_id: UUID, after: int | None
    ) -> AsyncIterator[PostEvent | Reset | Signal]:
        """Yield every change after version `after`, or from now on, as it is committed.

        It begins with a heartbeat. It ends when the session ends or the process stops. The next events are read only
        when the previous ones have been taken (backpressure), so a slow follower costs no memory.
        """
        with self._wakeups.of(user_id) as woken:
            yield Signal.HEARTBEAT
            while not self._wakeups.is_stopping:
                # Cleared before the look-up, so that a change during the look-up wakes this feed again.
                woken.clear()
                version = await self._timelines.version(user_id, session_id)
                if version is None:
                    return
                if after is None:
                    after = version
                if after > version:
                    yield Reset(version)
                    after = version
                if after < version:
                    events = await self._events(user_id, after, version)
                    if not events:
                        yield Reset(version)
                        after = version
                    for event in events:
                        # Dead letters keep their events longer than the events around them, so there may be a gap.
                        if event.version != after + 1:
                            yield Reset(version)
                            after = version
                            break
                        yield event
                        after = event.version
                    # Look the session up again, however much there is to catch up with.
                    continue
                try:
                    await asyncio.wait_for(woken.wait(), self._heartbeat_seconds)
                except TimeoutError:
                    yield Signal.HEARTBEAT

    async def _events(self, user_id: UUID, after: int, version: int) -> list[PostEvent]:
        """Return the next events. Feeds of one timeline that are at the same place share one read.

        A read that is under way counts only for who knows the same version: it may have begun before a later one.
        """
        place = (user_id, after, version)
        read = self._reads.get(place)
        if read is None or read.get_loop() is not asyncio.get_running_loop():
            read = asyncio.create_task(self._queries.events_after(user_id, after, self._events_per_read))
            self._reads[place] = read
            read.add_done_callback(lambda _: self._reads.pop(place, None))
        # One feed that ends must not cancel the read of the others.
        return await asyncio.shield(read)
