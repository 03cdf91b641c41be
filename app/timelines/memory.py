"""Timeline versions from this process's memory, for a database that no other process serves."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from cachetools import LRUCache
from typing_extensions import override

from app.ports.timelines import Timelines
from events.types import PostEvent, SessionsChanged
from models.columns import now


class TimelineState(NamedTuple):
    """A user's timeline version, and when each of their sessions expires."""

    version: int
    sessions: dict[UUID, datetime]


class MemoryTimelines(Timelines):
    """Keeps the state of the most recently used users, and hears of every change over the event bus.

    The bus calls `on_post_event` and `on_sessions_changed` before a write is acknowledged.
    """

    def __init__(
        self,
        load: Callable[[UUID], Awaitable[TimelineState | None]],
        *,
        require: Callable[[], None] = lambda: None,
        max_users: int = 10_000,
        clock: Callable[[], datetime] = now,
    ) -> None:
        """Take the function that reads a state, and one that raises while the database can't be believed."""
        self._load = load
        self._require = require
        self._clock = clock
        self._states: LRUCache[UUID, TimelineState] = LRUCache(max_users)
        self._loads: dict[UUID, object] = {}

    @override
    async def version(self, user_id: UUID, session_id: UUID) -> int | None:
        self._require()
        state: TimelineState | None
        try:
            state = self._states[user_id]
        except KeyError:
            state = await self._load_state(user_id)
        if state is None:
            return None
        expires_at = state.sessions.get(session_id)
        if expires_at is None or expires_at <= self._clock():
            return None
        return state.version

    async def on_post_event(self, event: PostEvent) -> None:
        """Take over the version that a committed change made."""
        self._loads.pop(event.user_id, None)
        state = self._states.get(event.user_id)
        if state is not None and state.version < event.version:
            self._states[event.user_id] = state._replace(version=event.version)

    async def on_sessions_changed(self, event: SessionsChanged) -> None:
        """Drop the user's state, so that the next look-up reads their sessions again."""
        self._loads.pop(event.user_id, None)
        self._states.pop(event.user_id, None)

    def forget(self) -> None:
        """Drop every user's state: another process may have changed any of them."""
        self._loads.clear()
        self._states.clear()

    async def _load_state(self, user_id: UUID) -> TimelineState | None:
        # A change that is published while the database is being read may be missing from what was read. That state
        # still answers this call, which began before the change was acknowledged, but it must not be kept.
        ticket = self._loads[user_id] = object()
        try:
            state = await self._load(user_id)
            if state is not None and self._loads.get(user_id) is ticket:
                self._states[user_id] = state
            return state
        finally:
            if self._loads.get(user_id) is ticket:
                del self._loads[user_id]
