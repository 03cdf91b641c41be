"""Fair shares: what one key can hold, what all can, and whose turn it is."""

import asyncio

import pytest

from app.errors import Overloaded, TooManyRequests
from app.shares import Share, Turns


def test_one_key_holds_at_most_its_share_and_others_are_served() -> None:
    share = Share("feeds", per_key=2, total=10)
    with share.hold("ada"), share.hold("ada"):
        with pytest.raises(TooManyRequests) as refusal, share.hold("ada"):
            pass
        with share.hold("grace"):
            assert share.used == 3
    assert refusal.value.headers["Retry-After"] == "1"
    assert (share.used, share.refused) == (0, 1)


def test_all_keys_together_hold_at_most_the_total() -> None:
    share = Share("bytes", per_key=8, total=10)
    with share.hold("ada", 8), pytest.raises(Overloaded) as refusal, share.hold("grace", 3):
        pass
    assert refusal.value.headers["Retry-After"] == "1"
    assert share.used == 0


def test_what_was_added_is_given_back_and_what_was_refused_is_not_held() -> None:
    share = Share("bytes", per_key=8, total=10)
    with share.hold("ada") as held:
        held.add(6)
        with pytest.raises(TooManyRequests):
            held.add(2)
    assert share.used == 0


async def test_a_key_beyond_its_turns_waits_in_order_and_others_do_not() -> None:
    turns, finished = Turns("writes", per_key=1, max_waiting=10), list[str]()
    first_may_end = asyncio.Event()

    async def work(key: str, name: str, until: asyncio.Event | None = None) -> None:
        async with turns.of(key):
            if until is not None:
                await until.wait()
            finished.append(name)

    first = asyncio.create_task(work("ada", "first", first_may_end))
    await asyncio.sleep(0)
    second, third = (asyncio.create_task(work("ada", name)) for name in ("second", "third"))
    await work("grace", "of another")
    first_may_end.set()
    await asyncio.gather(first, second, third)
    assert finished == ["of another", "first", "second", "third"]
    assert turns.used == 0


async def test_too_many_of_one_key_that_wait_are_refused() -> None:
    turns = Turns("writes", per_key=1, max_waiting=0)
    async with turns.of("ada"):
        with pytest.raises(TooManyRequests):
            async with turns.of("ada"):
                pass
    assert turns.refused == 1


async def test_who_gives_up_waiting_takes_no_turn() -> None:
    turns = Turns("writes", per_key=1, max_waiting=10)

    async def work() -> None:
        async with turns.of("ada"):
            pass

    async with turns.of("ada"):
        waiting = [asyncio.create_task(work()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.wait(waiting)
    assert turns.used == 0
    async with asyncio.timeout(5):
        await work()


def test_what_was_taken_can_be_given_back_piece_by_piece() -> None:
    share = Share("bytes", per_key=8, total=10)
    share.take("ada", 8)
    assert not share.has_room("ada", 1)
    assert share.has_room("grace", 2)
    assert not share.has_room("grace", 3)
    share.give_back("ada", 5)
    assert share.has_room("ada", 5)
    assert share.used == 3


async def test_who_has_waited_too_long_is_refused_and_takes_no_turn() -> None:
    turns = Turns("snapshots", per_key=1, max_waiting=1, wait_seconds=0.01)
    async with turns.of("ada"):
        for _ in range(2):
            with pytest.raises(TooManyRequests):
                async with turns.of("ada"):
                    pass
    assert (turns.used, turns.refused) == (0, 2)
    async with turns.of("ada"):
        assert turns.used == 1
