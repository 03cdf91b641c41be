"""Rate limits that one process counts alone."""

from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from cachetools import LRUCache
from limits import parse
from limits.aio.strategies import FixedWindowRateLimiter
from uuid_utils.compat import uuid7

from app.auth.bounded_counts import BoundedCounts
from app.auth.rate_limits import RateLimit, RememberedClients
from app.errors import InvalidCredentials, TooManyRequests


class Clock:
    """A time that passes when a test says so."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class CountedCache(LRUCache[str, tuple[int, float]]):
    """Counts what is done to entries, and every look at all of them as one for each."""

    def __init__(self, max_keys: int) -> None:
        super().__init__(max_keys)
        self.touched = Counter[str]()

    def __getitem__(self, key: str) -> Any:
        self.touched[key] += 1
        return super().__getitem__(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self.touched[key] += 1
        super().__setitem__(key, value)

    def __iter__(self) -> Iterator[str]:
        for key in super().__iter__():
            self.touched[key] += 1
            yield key


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_a_window_begins_with_its_first_use_and_then_starts_again(clock: Clock) -> None:
    counts = BoundedCounts(clock=clock)
    limiter, window = FixedWindowRateLimiter(counts), parse("2/minute")

    assert [await limiter.hit(window, "ada") for _ in range(3)] == [True, True, False]
    assert await limiter.hit(window, "bob")
    clock.now += 59
    assert not await limiter.test(window, "ada")
    assert await limiter.get_window_stats(window, "ada") == (clock.now + 1, 0)
    clock.now += 1

    assert await limiter.test(window, "ada")
    assert await limiter.get_window_stats(window, "ada") == (clock.now, 2)
    assert [await limiter.hit(window, "ada") for _ in range(3)] == [True, True, False]


async def test_an_operation_touches_its_own_key_however_many_there_are(clock: Clock) -> None:
    counts = BoundedCounts(clock=clock)
    counts._counts = cache = CountedCache(5000)
    limiter, window = FixedWindowRateLimiter(counts), parse("1000/minute")
    for number in range(5000):
        await limiter.hit(window, str(number))
    clock.now += 60
    cache.touched.clear()

    await limiter.test(window, "7")
    await limiter.hit(window, "7")
    await limiter.get_window_stats(window, "7")

    assert len(cache.touched) == 1
    assert cache.touched.total() < 20


async def test_beyond_its_bound_the_key_unused_for_longest_starts_again_and_nobody_is_refused() -> None:
    counts = BoundedCounts(max_keys=3)
    limiter, window = FixedWindowRateLimiter(counts), parse("1/minute")
    for key in ("first", "second", "third"):
        assert await limiter.hit(window, key)
    assert not await limiter.test(window, "first")

    assert await limiter.hit(window, "fourth")

    assert await limiter.test(window, "second")
    assert not any([await limiter.test(window, key) for key in ("first", "third", "fourth")])
    assert await counts.reset() == 3


async def test_a_failed_attempt_counts_and_a_successful_one_does_not() -> None:
    limit = RateLimit("login", "2/minute")

    async def attempt(*, fails: bool) -> None:
        async with limit.attempt("ada"):
            if fails:
                raise InvalidCredentials

    for _ in range(5):
        await attempt(fails=False)
    for _ in range(2):
        with pytest.raises(InvalidCredentials):
            await attempt(fails=True)

    with pytest.raises(TooManyRequests):
        await attempt(fails=False)


async def test_a_client_is_remembered_for_its_user_only() -> None:
    clients = RememberedClients()
    ada, bob = UUID(int=uuid7().int), UUID(int=uuid7().int)

    await clients.remember(ada, "192.0.2.1")

    assert await clients.knows(ada, "192.0.2.1")
    assert not await clients.knows(ada, "192.0.2.2")
    assert not await clients.knows(bob, "192.0.2.1")
