"""Noticing what other processes changed, where the database is all that they share."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from app.delivery.wakeups import Wakeups
from events.waiting import happens

logger = logging.getLogger(__name__)


class DatabaseWatch:
    """Wakes followers of what changed anywhere: one question for all followed timelines, asked again and again."""

    def __init__(
        self, wakeups: Wakeups, read_marks: Callable[[list[UUID]], Awaitable[dict[UUID, Any]]], interval: timedelta
    ) -> None:
        self._wakeups = wakeups
        self._read_marks = read_marks
        self._interval = interval.total_seconds()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Watch until told to stop; a database that is away is asked again the next time."""
        known: dict[UUID, Any] = {}
        while not await happens(self._stopping, within=self._interval):
            followed = self._wakeups.followed
            try:
                marks = await self._read_marks(followed) if followed else {}
            except Exception as error:  # noqa: BLE001 - whatever it was, the next time may go well
                logger.warning("followed timelines could not be looked at: %s", type(error).__name__)
                continue
            for user_id in followed:
                if user_id not in known or known[user_id] != marks.get(user_id):
                    self._wakeups.wake(user_id)
            known = {user_id: marks.get(user_id) for user_id in followed}

    def stop(self) -> None:
        """Let `run` end."""
        self._stopping.set()
