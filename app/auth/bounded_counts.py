"""Rate-limit counts in this process's memory."""

import time
from collections.abc import Callable

from cachetools import LRUCache
from limits.aio.storage import Storage
from typing_extensions import override

MAX_KEYS = 100_000


class BoundedCounts(Storage):
    """Counts for at most `max_keys` keys. Beyond that, the one that was used least recently starts again at zero.

    Each operation touches one key, however many there are. The library's own memory storage looks at all of them each
    time, and has no bound.
    """

    def __init__(self, max_keys: int = MAX_KEYS, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._clock = clock
        # A key's count, and when it expires.
        self._counts: LRUCache[str, tuple[int, float]] = LRUCache(max_keys)

    @property
    @override
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        return ()

    @override
    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        count, expires_at = self._live(key) or (0, self._clock() + expiry)
        self._counts[key] = count + amount, expires_at
        return count + amount

    @override
    async def get(self, key: str) -> int:
        live = self._live(key)
        return live[0] if live else 0

    @override
    async def get_expiry(self, key: str) -> float:
        live = self._live(key)
        return live[1] if live else self._clock()

    @override
    async def check(self) -> bool:
        return True

    @override
    async def reset(self) -> int | None:
        number = len(self._counts)
        self._counts.clear()
        return number

    @override
    async def clear(self, key: str) -> None:
        self._counts.pop(key, None)

    def _live(self, key: str) -> tuple[int, float] | None:
        found = self._counts.get(key)
        if found is not None and found[1] <= self._clock():
            del self._counts[key]
            return None
        return found
