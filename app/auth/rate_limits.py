"""Rate limits with fixed windows."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from limits import RateLimitItem, RateLimitItemPerDay, parse_many
from limits.aio.strategies import FixedWindowRateLimiter
from litestar.connection import ASGIConnection
from typing_extensions import override

from app.auth.bounded_counts import BoundedCounts
from app.auth.shared_counts import AnswerT, Question, SharedCounts
from app.errors import InvalidCredentials, TooManyRequests, WrongPassword
from app.ports.security import UNKNOWN_CLIENT, FailureLimit, KnownClients, UseLimit

_IPV6_CUSTOMER_PREFIX = 64


class RateLimit(FailureLimit, UseLimit):
    """How often each key may do one thing. All windows apply, such as those of `"5/minute;20/hour"`.

    With `SharedCounts`, all processes count together while Redis can be used. Otherwise each counts for itself.
    `failures` is the number of failed attempts in this process.
    """

    def __init__(self, name: str, windows: str | Sequence[RateLimitItem], shared: SharedCounts | None = None) -> None:
        self._name = name
        self._windows = parse_many(windows) if isinstance(windows, str) else windows
        self._shared = shared
        self._own = FixedWindowRateLimiter(BoundedCounts())
        self.failures = 0
        # A lock is dropped when no attempt holds it or waits for it.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @override
    async def hit(self, key: str) -> None:
        for window in self._windows:
            if not await self._ask(lambda limiter: limiter.hit, window, key):
                raise await self._refusal(window, key)

    @override
    @asynccontextmanager
    async def attempt(self, key: str) -> AsyncIterator[None]:
        async with self._locks.setdefault(key, asyncio.Lock()):
            if (window := await self._used_up(key)) is not None:
                raise await self._refusal(window, key)
            try:
                yield
            except (InvalidCredentials, WrongPassword):
                self.failures += 1
                await self.count(key)
                raise

    @override
    async def forget(self, key: str) -> None:
        for window in self._windows:
            await self._ask(lambda limiter: limiter.clear, window, key)

    async def count(self, key: str) -> None:
        """Count one use, without a refusal."""
        for window in self._windows:
            await self._ask(lambda limiter: limiter.hit, window, key)

    async def is_used_up(self, key: str) -> bool:
        """Return whether one more use would exceed a window."""
        return await self._used_up(key) is not None

    async def _used_up(self, key: str) -> RateLimitItem | None:
        for window in self._windows:
            if not await self._ask(lambda limiter: limiter.test, window, key):
                return window
        return None

    async def _ask(self, question: Question[AnswerT], window: RateLimitItem, key: str) -> AnswerT:
        if self._shared is not None:
            answer = await self._shared.ask(question, window, self._name, key)
            if answer is not None:
                return answer
        return await question(self._own)(window, self._name, key)

    async def _refusal(self, window: RateLimitItem, key: str) -> TooManyRequests:
        stats = await self._ask(lambda limiter: limiter.get_window_stats, window, key)
        seconds = max(1, ceil(stats.reset_time - time.time()))
        return TooManyRequests(
            f"Try again in {seconds} seconds.",
            headers={
                "Retry-After": str(seconds),
                # draft-ietf-httpapi-ratelimit-headers
                "RateLimit-Policy": f'"{self._name}";q={window.amount};w={window.get_expiry()}',
                "RateLimit": f'"{self._name}";r=0;t={seconds}',
            },
        )


class RememberedClients(KnownClients):
    """Remembers clients for some days: as the rate limits count, and in the same places."""

    def __init__(self, shared: SharedCounts | None = None, *, days: int = 30) -> None:
        self._seen = RateLimit("client", [RateLimitItemPerDay(1, days)], shared)

    @override
    async def remember(self, user_id: UUID, client: str) -> None:
        await self._seen.count(f"{user_id.hex}:{client}")

    @override
    async def knows(self, user_id: UUID, client: str) -> bool:
        return await self._seen.is_used_up(f"{user_id.hex}:{client}")


def client_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Return the key of the client that made the request."""
    return client_key(connection.client.host if connection.client else None)


def client_key(host: str | None) -> str:
    """Return the key of a client's address: the address, or the /64 network of an IPv6 address."""
    try:
        address = ip_address(host or "")
    except ValueError:
        return host or UNKNOWN_CLIENT
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if isinstance(address, IPv6Address):
        return f"{int(address) >> (128 - _IPV6_CUSTOMER_PREFIX):x}"
    return str(address)
