"""Notices what other processes committed, if they share only the database."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from typing_extensions import override

from app.periodic import PeriodicTask
from events.wakeups import Wakeups


class TimelineWatcher(PeriodicTask):
    """Polls the database for changes of all followed timelines at once, and wakes their followers.

    `read_fingerprints` returns, for each of these users who exists, a value that differs after each change.
    """

    def __init__(
        self,
        wakeups: Wakeups,
        read_fingerprints: Callable[[list[UUID]], Awaitable[dict[UUID, Any]]],
        interval: timedelta,
    ) -> None:
        super().__init__("polling for changes of other processes", interval.total_seconds())
        self._wakeups = wakeups
        self._read_fingerprints = read_fingerprints
        self._known: dict[UUID, Any] = {}

    @override
    async def tick(self) -> None:
        followed = self._wakeups.followed
        fingerprints = await self._read_fingerprints(followed) if followed else {}
        for user_id in followed:
            if user_id not in self._known or self._known[user_id] != fingerprints.get(user_id):
                self._wakeups.wake(user_id)
        self._known = {user_id: fingerprints.get(user_id) for user_id in followed}
