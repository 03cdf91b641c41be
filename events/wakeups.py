"""Wakes those who follow a timeline when there may be something new in it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from events.types import PostEvent, SessionsChanged


class Wakeups:
    """Who follows whose timeline in this process.

    Being woken says only that it is worth a look: what is new, a follower reads from the database.
    """

    def __init__(self) -> None:
        self._followers: dict[UUID, set[asyncio.Event]] = {}
        self.is_stopping = False

    @contextmanager
    def of(self, user_id: UUID) -> Iterator[asyncio.Event]:
        """Yield an event that is set whenever the user's timeline or sessions may have changed."""
        event = asyncio.Event()
        followers = self._followers.setdefault(user_id, set())
        followers.add(event)
        try:
            yield event
        finally:
            followers.discard(event)
            if not followers and self._followers.get(user_id) is followers:
                del self._followers[user_id]

    @property
    def followed(self) -> list[UUID]:
        """Whose timelines are followed at the moment."""
        return list(self._followers)

    @property
    def followers(self) -> int:
        """How many follow one at the moment."""
        return sum(map(len, self._followers.values()))

    def wake(self, user_id: UUID) -> None:
        """Wake the followers of one timeline."""
        for event in self._followers.get(user_id, ()):
            event.set()

    async def on_change(self, event: PostEvent | SessionsChanged) -> None:
        """Wake those who follow the timeline of the event."""
        self.wake(event.user_id)

    def stop(self) -> None:
        """Tell every follower, now and from now on, that the process is about to end."""
        self.is_stopping = True
        for user_id in self._followers:
            self.wake(user_id)
