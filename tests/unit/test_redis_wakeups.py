"""Other nodes are told again, whatever the connection to them does."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import make_url

from app.database.redis_connection import RedisConnection
from app.delivery import redis_wakeups
from app.delivery.redis_wakeups import RedisWakeups
from events.types import SessionsChanged
from events.wakeups import Wakeups


class Backend:
    """A connection to other nodes that breaks the first time in ways that nobody expected, also while it is closed."""

    def __init__(self) -> None:
        self.published: list[bytes] = []
        self.is_broken = True
        self.has_published = asyncio.Event()

    async def publish(self, data: bytes, _: list[str]) -> None:
        if self.is_broken:
            raise LookupError
        self.published.append(data)
        self.has_published.set()

    async def on_shutdown(self) -> None:
        if self.is_broken:
            self.is_broken = False
            raise ValueError

    async def subscribe(self, _: list[str]) -> None:
        await asyncio.Event().wait()


async def test_nodes_are_told_again_after_a_failure_that_nobody_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    backend: Any = Backend()
    monkeypatch.setattr(redis_wakeups, "RedisChannelsPubSubBackend", lambda **_: backend)
    redis = RedisConnection("redis://127.0.0.1:1/0", make_url("mysql://localhost/x"))
    wakeups = RedisWakeups(redis, Wakeups(), retry_seconds=0.01)
    running = asyncio.create_task(wakeups.run())
    for number in (1, 2):
        await wakeups.on_change(SessionsChanged(user_id=UUID(int=number)))

    async with asyncio.timeout(5):
        await backend.has_published.wait()

    assert backend.published == [UUID(int=2).bytes]
    wakeups.stop()
    await running
