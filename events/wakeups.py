"""Wakes the feeds of a timeline when it may have changed."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from events.types import PostEvent, SessionsChanged


class Wakeups:
    """The followers of each timeline in this process.

    A wake-up carries no data: the follower reads from the database what has changed.
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
        """The users whose timelines are followed at the moment."""
        return list(self._followers)

    @property
    def followers(self) -> int:
        """The number of followers at the moment."""
        return sum(map(len, self._followers.values()))

    def wake(self, user_id: UUID) -> None:
        """Wake the followers of one timeline."""
        for event in self._followers.get(user_id, ()):
            event.set()

    async def on_change(self, event: PostEvent | SessionsChanged) -> None:
        """Wake the followers of the event's timeline."""
        self.wake(event.user_id)

    def wake_all(self) -> None:
        """Wake every follower."""
        for user_id in self._followers:
            self.wake(user_id)

    def stop(self) -> None:
        """Wake every follower and set `is_stopping`: the process is shutting down."""
        self.is_stopping = True
        self.wake_all()
