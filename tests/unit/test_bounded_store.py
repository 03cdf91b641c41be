"""The store of cached answers."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.response_store import BoundedStore


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> BoundedStore:
    return BoundedStore(100_000, clock)


async def test_a_value_is_kept_until_it_expires(store: BoundedStore, clock: Clock) -> None:
    await store.set("key", b"value", expires_in=300)

    clock.now += 299
    assert await store.get("key") == b"value"
    assert await store.exists("key")
    assert await store.expires_in("key") == 1
    clock.now += 1
    assert await store.get("key") is None
    assert not await store.exists("key")
    assert await store.expires_in("key") is None
    assert store.size == 0


async def test_a_value_without_expiry_stays(store: BoundedStore, clock: Clock) -> None:
    await store.set("key", "välue")

    clock.now += 1e9
    assert await store.get("key") == "välue".encode()
    assert await store.expires_in("key") == -1


async def test_reading_can_renew_the_expiry(store: BoundedStore, clock: Clock) -> None:
    await store.set("key", b"value", expires_in=timedelta(seconds=10))

    clock.now += 9
    assert await store.get("key", renew_for=10) == b"value"
    clock.now += 9
    assert await store.get("key") == b"value"


async def test_the_least_recently_used_value_makes_room(store: BoundedStore) -> None:
    for key in "abcdefgh":
        await store.set(key, b"x" * 12_000)
    await store.get("a")
    await store.set("i", b"x" * 12_000)

    assert await store.get("a") is not None
    assert await store.get("b") is None


async def test_a_value_over_an_eighth_of_the_bound_is_not_kept_and_leaves_the_others(store: BoundedStore) -> None:
    await store.set("small", b"x")
    await store.set("large", b"x" * 12_501)

    assert await store.get("large") is None
    assert await store.get("small") == b"x"


async def test_a_value_that_grew_too_large_does_not_leave_the_old_one(store: BoundedStore) -> None:
    await store.set("key", b"old")
    await store.set("key", b"x" * 12_501)

    assert await store.get("key") is None
    assert store.size == 0


async def test_values_can_be_dropped(store: BoundedStore) -> None:
    await store.set("a", b"1")
    await store.set("b", b"2")

    await store.delete("a")
    await store.delete("missing")
    assert (await store.get("a"), await store.get("b")) == (None, b"2")
    await store.delete_all()
    assert (await store.get("b"), store.size) == (None, 0)


async def test_a_store_of_no_bytes_keeps_nothing() -> None:
    store = BoundedStore(0)
    await store.set("key", b"")

    assert await store.get("key") is None


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 2000)), max_size=200))
async def test_no_sequence_of_writes_exceeds_the_bound_or_loses_count(writes: list[tuple[int, int]]) -> None:
    store = BoundedStore(8_000)
    for key, length in writes:
        await store.set(str(key), b"x" * length)
        assert store.size <= 8_000

    for key, _ in writes:
        await store.delete(str(key))
    assert store.size == 0
