"""A Litestar store in memory that never grows past its bound."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from typing import NamedTuple

from litestar.stores.base import Store

_ENTRY_OVERHEAD_BYTES = 200
_LARGEST_SHARE = 8


class _Entry(NamedTuple):
    value: bytes
    expires_at: float | None
    size: int


class BoundedStore(Store):
    """Keeps the most recently used values, as many as fit into `max_bytes`, each until it expires.

    The bound counts keys, values and an estimate of what an entry costs besides. A value that would take more than an
    eighth of it is not kept: it would push out too many others. `size` is what is kept at the moment; `hits` and
    `misses` count the look-ups by `get`, `evictions` what was pushed out.
    """

    def __init__(self, max_bytes: int, clock: Callable[[], float] = monotonic) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self.size = self.hits = self.misses = self.evictions = 0

    async def set(self, key: str, value: str | bytes, expires_in: int | timedelta | None = None) -> None:
        """Keep the value for `expires_in` seconds, or until it is pushed out."""
        self._drop(key)
        data = value.encode() if isinstance(value, str) else value
        size = len(data) + len(key.encode()) + _ENTRY_OVERHEAD_BYTES
        if size * _LARGEST_SHARE > self._max_bytes:
            return
        self._entries[key] = _Entry(data, self._deadline(expires_in), size)
        self.size += size
        while self.size > self._max_bytes:
            self._drop(next(iter(self._entries)))
            self.evictions += 1

    async def get(self, key: str, renew_for: int | timedelta | None = None) -> bytes | None:
        """Return the value, if it is still kept; `renew_for` gives one that expires that long again."""
        entry = self._live(key)
        if entry is None:
            self.misses += 1
            return None
        self.hits += 1
        if renew_for is not None and entry.expires_at is not None:
            self._entries[key] = entry._replace(expires_at=self._deadline(renew_for))
        self._entries.move_to_end(key)
        return entry.value

    async def delete(self, key: str) -> None:
        """Drop the value, if there is one."""
        self._drop(key)

    async def delete_all(self) -> None:
        """Drop every value."""
        self._entries.clear()
        self.size = 0

    async def exists(self, key: str) -> bool:
        """Return whether the value is still kept."""
        return self._live(key) is not None

    async def expires_in(self, key: str) -> int | None:
        """Return the whole seconds that are left to the value: -1 if it never expires, `None` if there is none."""
        entry = self._live(key)
        if entry is None:
            return None
        return -1 if entry.expires_at is None else int(entry.expires_at - self._clock())

    def _live(self, key: str) -> _Entry | None:
        entry = self._entries.get(key)
        if entry is not None and entry.expires_at is not None and entry.expires_at <= self._clock():
            self._drop(key)
            return None
        return entry

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size -= entry.size

    def _deadline(self, expires_in: int | timedelta | None) -> float | None:
        if expires_in is None:
            return None
        seconds = expires_in.total_seconds() if isinstance(expires_in, timedelta) else expires_in
        return self._clock() + seconds
