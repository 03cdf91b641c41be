"""Following one's own timeline, change by change."""

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
    """The history that the follower asks for is not kept: read the list anew, and go on after `version`."""

    version: int


class Signal(Enum):
    """What a follower is told between events."""

    STILL_HERE = auto()


class FeedService:
    """Streams what happened to a timeline from the stored events: in order, without gap or repetition."""

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

    async def follow(
        self, user_id: UUID, session_id: UUID, after: int | None
    ) -> AsyncIterator[PostEvent | Reset | Signal]:
        """Yield every change after that version, or from now on, as it is committed.

        It ends when the session does, or the process. The next events are read only when the ones before have been
        taken, so a slow follower costs no memory.
        """
        with self._wakeups.of(user_id) as woken:
            yield Signal.STILL_HERE
            while not self._wakeups.is_stopping:
                # Cleared before the look, so that what changes during it is looked at again.
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
                    events = await self._queries.events_after(user_id, after, self._events_per_read)
                    if not events:
                        yield Reset(version)
                        after = version
                    for event in events:
                        # What some listener failed on is kept longer than what lies around it.
                        if event.version != after + 1:
                            yield Reset(version)
                            after = version
                            break
                        yield event
                        after = event.version
                    # However much there is to catch up with, the session may end meanwhile, and the process too.
                    continue
                try:
                    await asyncio.wait_for(woken.wait(), self._heartbeat_seconds)
                except TimeoutError:
                    yield Signal.STILL_HERE
