import asyncio
from collections import defaultdict
from collections.abc import Sequence

import pytest

from app.batching import POSTPONED, Batching, Postponed, PostponedTooOften


class Doubling:
    """Doubles numbers, and keeps the batches it was handed; while it is held, it takes its time."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.free = asyncio.Event()
        self.free.set()

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        await self.free.wait()
        if -1 in items:
            raise ValueError("unlucky")
        return [2 * item for item in items]


async def test_a_lone_item_is_handled_by_itself() -> None:
    doubling = Doubling()
    double = Batching(doubling)

    assert [await double(1), await double(2)] == [2, 4]
    assert doubling.batches == [[1], [2]]


async def test_items_that_come_together_are_handled_together() -> None:
    doubling = Doubling()
    double = Batching(doubling, max_items=30)

    assert await asyncio.gather(*map(double, range(100))) == [2 * item for item in range(100)]
    assert [len(batch) for batch in doubling.batches] == [30, 30, 30, 10]


async def test_an_item_that_comes_later_is_in_no_earlier_batch() -> None:
    doubling = Doubling()
    double = Batching(doubling, slow_seconds=60)
    doubling.free.clear()
    first = asyncio.create_task(double(1))
    await asyncio.sleep(0.01)

    later = [asyncio.create_task(double(item)) for item in (2, 3)]
    await asyncio.sleep(0.01)
    assert doubling.batches == [[1]]
    doubling.free.set()

    assert await asyncio.gather(first, *later) == [2, 4, 6]
    assert doubling.batches == [[1], [2, 3]]


async def test_a_batch_that_takes_long_holds_up_no_other() -> None:
    doubling = Doubling()
    double = Batching(doubling)
    doubling.free.clear()
    stuck = asyncio.create_task(double(1))
    await asyncio.sleep(0.01)

    waiting = asyncio.create_task(double(2))
    async with asyncio.timeout(5):
        while doubling.batches != [[1], [2]]:  # noqa: ASYNC110 - it happens in another task
            await asyncio.sleep(0.01)

    assert not stuck.done()
    doubling.free.set()
    assert [await stuck, await waiting] == [2, 4]


async def test_a_failure_is_that_of_its_whole_batch_and_of_no_other() -> None:
    double = Batching(Doubling())

    results = await asyncio.gather(double(1), double(-1), return_exceptions=True)

    assert [type(result) for result in results] == [ValueError, ValueError]
    assert await double(2) == 4


async def test_who_stops_waiting_takes_nothing_from_the_others() -> None:
    doubling = Doubling()
    double = Batching(doubling)
    doubling.free.clear()
    calls = [asyncio.create_task(double(item)) for item in (1, 2)]
    await asyncio.sleep(0.01)

    calls[0].cancel()
    doubling.free.set()

    assert await calls[1] == 4
    with pytest.raises(asyncio.CancelledError):
        await calls[0]


def test_an_event_loop_that_ended_early_leaves_nothing_behind_for_the_next() -> None:
    doubling = Doubling()
    double = Batching(doubling)

    async def leave() -> None:
        doubling.free.clear()
        asyncio.create_task(double(1))  # noqa: RUF006 - it is left behind on purpose
        await asyncio.sleep(0.01)

    asyncio.run(leave())
    doubling.free = asyncio.Event()
    doubling.free.set()

    assert asyncio.run(asyncio.wait_for(double(2), 5)) == 4


async def test_a_function_that_is_cancelled_fails_those_who_wait() -> None:
    async def give_up(_: Sequence[int]) -> list[int]:
        raise asyncio.CancelledError

    calls = asyncio.gather(*map(Batching(give_up), (1, 2)), return_exceptions=True)

    assert [type(result) for result in await asyncio.wait_for(calls, 5)] == [RuntimeError, RuntimeError]


async def test_a_function_that_returns_too_few_results_fails_those_who_wait_and_nobody_else() -> None:
    async def forget(items: Sequence[str]) -> list[str]:
        return [item for item in items if item != "forgotten"]

    call = Batching(forget, owner_of=lambda _: "ada")

    with pytest.raises(ValueError, match="shorter"):
        await asyncio.wait_for(call("forgotten"), 5)
    assert await asyncio.wait_for(call("kept"), 5) == "kept"


async def test_a_slow_batch_that_is_cancelled_lets_its_owners_next_one_begin() -> None:
    batches: list[list[str]] = []
    is_cancelled = asyncio.Event()

    async def give_up_once(items: Sequence[str]) -> list[str]:
        batches.append(list(items))
        if items == ["a1"]:
            await is_cancelled.wait()
            raise asyncio.CancelledError
        return list(items)

    call = Batching(give_up_once, slow_seconds=0, owner_of=lambda item: item[0])
    async with asyncio.timeout(5):
        first = asyncio.create_task(call("a1"))
        await asyncio.sleep(0.01)
        # It is answered, so the first batch is no longer counted.
        assert await call("b1") == "b1"
        second = asyncio.create_task(call("a2"))
        await asyncio.sleep(0)
        is_cancelled.set()

        assert await second == "a2"
        with pytest.raises(RuntimeError):
            await first
    assert batches == [["a1"], ["b1"], ["a2"]]


async def test_an_owner_of_many_items_delays_no_other() -> None:
    batches: list[list[str]] = []

    async def note(items: Sequence[str]) -> list[str]:
        batches.append(list(items))
        return list(items)

    call = Batching(note, max_items=4, owner_of=lambda item: item[0])

    items = ["a1", "a2", "a3", "a4", "a5", "a6", "b1", "b2", "c1"]
    assert await asyncio.gather(*map(call, items)) == items
    assert batches == [["a1", "a2", "b1", "c1"], ["a3", "a4", "a5", "b2"], ["a6"]]


@pytest.mark.parametrize("slow_seconds", [0, 60], ids=["slow", "quick"])
async def test_items_of_an_owner_wait_for_the_batch_that_has_others_of_theirs(slow_seconds: float) -> None:
    batches: list[list[str]] = []
    ends = defaultdict[str, asyncio.Event](asyncio.Event)

    async def note(items: Sequence[str]) -> list[str]:
        batches.append(list(items))
        await ends[items[0]].wait()
        return list(items)

    async def begun(item: str) -> None:
        while item not in {each for batch in batches for each in batch}:  # noqa: ASYNC110 - it happens in another task
            await asyncio.sleep(0)

    call = Batching(note, max_concurrent=2, slow_seconds=slow_seconds, owner_of=lambda item: item[0])
    async with asyncio.timeout(10), asyncio.TaskGroup() as calls:
        calls.create_task(call("a1"))
        await begun("a1")
        for item in ("a2", "b1", "a3"):
            calls.create_task(call(item))
        await begun("b1")
        assert batches == [["a1"], ["b1"]]
        ends["a1"].set()
        ends["a2"].set()
        await begun("a2")
        ends["b1"].set()

    assert batches == [["a1"], ["b1"], ["a2", "a3"]]


class Postponing:
    """Postpones each item as often as its name says, and keeps the batches it was handed."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    async def __call__(self, items: Sequence[str]) -> list[str | Postponed]:
        self.batches.append(list(items))
        await asyncio.sleep(0)
        earlier = [item for batch in self.batches[:-1] for item in batch]
        return [POSTPONED if earlier.count(item) < int(item[-1]) else item for item in items]


async def test_an_item_that_is_postponed_comes_first_in_the_next_batch() -> None:
    handle = Postponing()
    call = Batching(handle, max_items=3, slow_seconds=60)

    items = ["a0", "b2", "c1", "d0", "e0", "f0"]
    assert await asyncio.gather(*map(call, items)) == items
    assert handle.batches == [["a0", "b2", "c1"], ["b2", "c1", "d0"], ["b2", "e0", "f0"]]


async def test_an_item_that_is_postponed_too_often_fails_alone() -> None:
    handle = Postponing()
    call = Batching(handle, max_postponements=3, slow_seconds=60)

    results = await asyncio.gather(*map(call, ["a3", "b4", "c0"]), return_exceptions=True)

    assert (results[0], type(results[1]), results[2]) == ("a3", PostponedTooOften, "c0")
    assert handle.batches == [["a3", "b4", "c0"], *[["a3", "b4"]] * 3]


async def test_while_all_items_are_postponed_there_is_a_pause_between_batches() -> None:
    handle = Postponing()
    call = asyncio.create_task(Batching(handle, pause_seconds=60)("a1"))
    for _ in range(100):
        await asyncio.sleep(0)

    assert handle.batches == [["a1"]]
    call.cancel()


async def test_batches_run_one_at_a_time_once_an_item_was_postponed() -> None:
    handle = Postponing()
    at_once = list[int]()
    running = 0

    async def watched(items: Sequence[str]) -> list[str | Postponed]:
        nonlocal running
        running += 1
        at_once.append(running)
        results = await handle(items)
        running -= 1
        return results

    call = Batching(watched, max_items=2, max_concurrent=2, slow_seconds=60, serial_seconds=60)
    await asyncio.gather(*map(call, ["a0", "b0", "c0", "d0"]))
    assert max(at_once) == 2
    await asyncio.gather(*map(call, ["a1", "b0"]))
    at_once.clear()

    await asyncio.gather(*map(call, ["c0", "d0", "e0", "f0"]))

    assert at_once == [1, 1]
