"""Fair shares of what everybody uses, so that one account or one client can't take it from all others.

A key is an account, or before log-in a client's address. `Share` refuses what is beyond a share; `Turns` lets it wait.
"""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Hashable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress

from app.errors import Overloaded, TooManyRequests

_RETRY_AFTER_SECONDS = 1


class Held:
    """What one user of a share holds of it. `add` takes more, and `give_back` ends it."""

    def __init__(self, share: "Share", key: Hashable) -> None:
        self._share = share
        self._key = key
        self.amount = 0

    def add(self, amount: int) -> None:
        """Take more, until all is given back.

        Raises:
            TooManyRequests: The key's share is used up.
            Overloaded: All of it is used up.
        """
        self._share.take(self._key, amount)
        self.amount += amount

    def give_back(self) -> None:
        """Hold nothing any more."""
        self._share.give_back(self._key, self.amount)
        self.amount = 0


class Share:
    """A bounded resource: connections, say, or bytes. One key holds at most `per_key` of it, all keys at most `total`.

    `name` is its label in metrics. `used` is what is held at the moment, and `refused` counts refusals.
    """

    def __init__(self, name: str, *, per_key: int, total: int) -> None:
        self.name = name
        self.per_key = per_key
        self.total = total
        self.used = 0
        self.refused = 0
        self._by_key: Counter[Hashable] = Counter()

    @property
    def held(self) -> Mapping[Hashable, int]:
        """How much each key holds at the moment, without those that hold nothing."""
        return self._by_key

    @contextmanager
    def hold(self, key: Hashable, amount: int = 1) -> Iterator[Held]:
        """Hold so much of it during the context.

        Raises:
            TooManyRequests: The key's share is used up (429 with `Retry-After`).
            Overloaded: All of it is used up (503 with `Retry-After`).
        """
        held = Held(self, key)
        held.add(amount)
        try:
            yield held
        finally:
            held.give_back()

    def has_room(self, key: Hashable, amount: int) -> bool:
        """Return whether the key could take so much now."""
        return self._by_key.get(key, 0) + amount <= self.per_key and self.used + amount <= self.total

    def take(self, key: Hashable, amount: int) -> None:
        """Count so much as held by the key, until it is given back; `hold` does both."""
        if self._by_key.get(key, 0) + amount > self.per_key:
            self.refused += 1
            raise TooManyRequests(f"Your share of {self.name} is used up.", headers=_retry_after())
        if self.used + amount > self.total:
            self.refused += 1
            raise Overloaded(f"The {self.name} of this service are used up.", headers=_retry_after())
        self._by_key[key] += amount
        self.used += amount

    def give_back(self, key: Hashable, amount: int) -> None:
        """Count so much of what the key took as free again."""
        self.used -= amount
        self._by_key[key] -= amount
        if not self._by_key[key]:
            del self._by_key[key]


class Turns:
    """Lets at most `per_key` of one key work at a time. The others of that key wait for their turn, in order.

    A queue that all keys share in order of arrival (a connection pool's, say) is thereby fair: one key has at most
    `per_key` places in it. More than `max_waiting` of one key are refused, and so is who has waited for `wait_seconds`.
    `used` is how many work at the moment.
    """

    def __init__(self, name: str, *, per_key: int, max_waiting: int, wait_seconds: float | None = None) -> None:
        self.name = name
        self.per_key = per_key
        self.max_waiting = max_waiting
        self.wait_seconds = wait_seconds
        self.used = 0
        self.refused = 0
        self._working: Counter[Hashable] = Counter()
        self._waiting: defaultdict[Hashable, deque[asyncio.Future[None]]] = defaultdict(deque)

    @asynccontextmanager
    async def of(self, key: Hashable) -> AsyncIterator[None]:
        """Wait for the key's turn, and have it during the context.

        Raises:
            TooManyRequests: Too many of the key wait already, or its turn comes too late (429 with `Retry-After`).
        """
        if self._working[key] < self.per_key:
            self._working[key] += 1
            self.used += 1
        else:
            await self._wait(key)
        try:
            yield
        finally:
            self._pass_on(key)

    async def _wait(self, key: Hashable) -> None:
        waiting = self._waiting[key]
        if len(waiting) >= self.max_waiting:
            raise self._refusal()
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            if self.wait_seconds is None:
                await turn
            else:
                async with asyncio.timeout(self.wait_seconds):
                    await turn
        except (asyncio.CancelledError, TimeoutError) as error:
            if turn.cancelled():
                with suppress(ValueError):
                    waiting.remove(turn)
            else:
                self._pass_on(key)
            if isinstance(error, TimeoutError):
                raise self._refusal() from None
            raise

    def _refusal(self) -> TooManyRequests:
        self.refused += 1
        return TooManyRequests(f"Too many of your {self.name} wait already.", headers=_retry_after())

    def _pass_on(self, key: Hashable) -> None:
        """Give the turn to the next of the key that waits, or give it back."""
        waiting = self._waiting.get(key)
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._waiting.pop(key, None)
        self.used -= 1
        self._working[key] -= 1
        if not self._working[key]:
            del self._working[key]


def _retry_after() -> dict[str, str]:
    return {"Retry-After": str(_RETRY_AFTER_SECONDS)}
