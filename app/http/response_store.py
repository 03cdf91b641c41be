"""A Litestar store in memory, bounded by bytes."""

from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from typing import NamedTuple

from cachetools import LRUCache
from litestar.stores.base import Store
from typing_extensions import override

_ENTRY_OVERHEAD_BYTES = 200
_LARGEST_SHARE = 8


class _Entry(NamedTuple):
    value: bytes
    expires_at: float | None
    size: int


class _Entries(LRUCache[str, _Entry]):
    evictions = 0

    @override
    def popitem(self) -> tuple[str, _Entry]:
        self.evictions += 1
        return super().popitem()


class BoundedStore(Store):
    """Keeps the most recently used values, as many as fit into `max_bytes`, each until it expires.

    The bound counts keys, values and an estimate of an entry's overhead. A value that would take more than an eighth of
    it is not kept, because it would evict too many others. `hits` and `misses` count the look-ups by `get`.
    """

    def __init__(self, max_bytes: int, clock: Callable[[], float] = monotonic) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._entries = _Entries(max_bytes, getsizeof=lambda entry: entry.size)
        self.hits = self.misses = 0

    @property
    def size(self) -> int:
        """The bytes that are kept at the moment."""
        return int(self._entries.currsize)

    @property
    def evictions(self) -> int:
        """How many values were evicted for others."""
        return self._entries.evictions

    @override
    async def set(self, key: str, value: str | bytes, expires_in: int | timedelta | None = None) -> None:
        self._entries.pop(key, None)
        data = value.encode() if isinstance(value, str) else value
        size = len(data) + len(key.encode()) + _ENTRY_OVERHEAD_BYTES
        if size * _LARGEST_SHARE <= self._max_bytes:
            self._entries[key] = _Entry(data, self._deadline(expires_in), size)

    @override
    async def get(self, key: str, renew_for: int | timedelta | None = None) -> bytes | None:
        entry = self._live(key)
        if entry is None:
            self.misses += 1
            return None
        self.hits += 1
        if renew_for is not None and entry.expires_at is not None:
            self._entries[key] = entry._replace(expires_at=self._deadline(renew_for))
        return entry.value

    @override
    async def delete(self, key: str) -> None:
        self._entries.pop(key, None)

    @override
    async def delete_all(self) -> None:
        self._entries.clear()

    @override
    async def exists(self, key: str) -> bool:
        return self._live(key) is not None

    @override
    async def expires_in(self, key: str) -> int | None:
        """Return the whole seconds until the value expires: -1 if it never does, `None` if there is none."""
        entry = self._live(key)
        if entry is None:
            return None
        return -1 if entry.expires_at is None else int(entry.expires_at - self._clock())

    def _live(self, key: str) -> _Entry | None:
        try:
            entry = self._entries[key]
        except KeyError:
            return None
        if entry.expires_at is not None and entry.expires_at <= self._clock():
            del self._entries[key]
            return None
        return entry

    def _deadline(self, expires_in: int | timedelta | None) -> float | None:
        if expires_in is None:
            return None
        seconds = expires_in.total_seconds() if isinstance(expires_in, timedelta) else expires_in
        return self._clock() + seconds
