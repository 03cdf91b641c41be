"""The port that answers "is this session alive, and what is its user's timeline version", and its adapters."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from events.types import PostEvent, SessionsChanged
from models.columns import now


class TimelineState(NamedTuple):
    """What is known of a user's timeline: its version, and when each of the sessions expires."""

    version: int
    sessions: dict[UUID, datetime]


class Timelines(Protocol):
    """Who knows the current version: this process, the database, or a server that all nodes share."""

    async def version(self, user_id: UUID, session_id: UUID) -> int | None:
        """Return the version of the user's timeline, or `None` when the session is not theirs or has ended.

        The answer is never older than the newest change or revocation acknowledged before the call.
        """
        ...

    def changing(self, user_ids: Collection[UUID]) -> AbstractAsyncContextManager[None]:
        """Enclose a commit that changes versions or sessions of these users.

        When the context is left, `version` answers, on every node, as the commit made it.
        """
        ...


class MemoryTimelines:
    """The answer from this process's memory, for a database that no other process writes to.

    It holds the most recently used users and hears of every change over the event bus.
    """

    def __init__(
        self,
        load: Callable[[UUID], Awaitable[TimelineState | None]],
        *,
        max_users: int = 10_000,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._load = load
        self._max_users = max_users
        self._clock = clock
        self._states: OrderedDict[UUID, TimelineState] = OrderedDict()
        self._loads: dict[UUID, object] = {}

    async def version(self, user_id: UUID, session_id: UUID) -> int | None:
        """See `Timelines.version`."""
        state = self._states.get(user_id)
        if state is None:
            state = await self._remember(user_id)
            if state is None:
                return None
        else:
            self._states.move_to_end(user_id)
        expires_at = state.sessions.get(session_id)
        if expires_at is None or expires_at <= self._clock():
            return None
        return state.version

    def changing(self, user_ids: Collection[UUID]) -> AbstractAsyncContextManager[None]:  # noqa: ARG002
        """See `Timelines.changing`: the events of the change tell it all."""
        return nullcontext()

    async def on_post_event(self, event: PostEvent) -> None:
        """Take over the version that a committed change made."""
        self._loads.pop(event.user_id, None)
        state = self._states.get(event.user_id)
        if state is not None and state.version < event.version:
            self._states[event.user_id] = state._replace(version=event.version)

    async def on_sessions_changed(self, event: SessionsChanged) -> None:
        """Forget the user, whose sessions are read anew when they are next asked for."""
        self._loads.pop(event.user_id, None)
        self._states.pop(event.user_id, None)

    async def _remember(self, user_id: UUID) -> TimelineState | None:
        # A change that is announced while the database is being read may or may not be in what was read. The state
        # then serves this call, which began before the announcement, but must not be kept.
        ticket = self._loads[user_id] = object()
        try:
            state = await self._load(user_id)
            if state is not None and self._loads.get(user_id) is ticket:
                self._states[user_id] = state
                if len(self._states) > self._max_users:
                    self._states.popitem(last=False)
            return state
        finally:
            if self._loads.get(user_id) is ticket:
                del self._loads[user_id]


class DatabaseTimelines:
    """The answer from the database: one statement by primary key for each call."""

    def __init__(self, read: Callable[[UUID, UUID], Awaitable[int | None]]) -> None:
        self._read = read

    async def version(self, user_id: UUID, session_id: UUID) -> int | None:
        """See `Timelines.version`."""
        return await self._read(user_id, session_id)

    def changing(self, user_ids: Collection[UUID]) -> AbstractAsyncContextManager[None]:  # noqa: ARG002
        """See `Timelines.changing`."""
        return nullcontext()
