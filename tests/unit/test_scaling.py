"""The model of several nodes (`benchmarks.cluster`), and the guide that it writes a part of."""

from dataclasses import replace
from itertools import pairwise

import pytest

from benchmarks.cluster import Assumptions, Cache, simulate
from benchmarks.costs import Cost, Costs, read_costs
from benchmarks.scaling_page import GUIDE, capacity, generated

COSTS = Costs(
    hit=Cost(node=100e-6, database=10e-6),
    miss=Cost(node=400e-6, database=100e-6),
    write=Cost(node=800e-6, database=200e-6),
    flushes_per_write=0.5,
    flush_seconds=1e-3,
    posts=20,
    list_bytes=1000,
    post_bytes=1000,
    process_bytes=1,
    feed_bytes=1,
    processor="imagined",
)
# So few that a test takes milliseconds, and a cache that holds a tenth of the users' lists.
FEW = Assumptions(users=1000, requests=20_000, cache_bytes=100_000, cache_seconds=300, database_cores=1000)


def test_the_work_of_nodes_is_the_sum_of_what_the_requests_cost() -> None:
    for nodes in (1, 4):
        outcome = simulate(FEW, COSTS, nodes)

        total = sum(
            count * cost.node
            for count, cost in (
                (outcome.hits, COSTS.hit),
                (outcome.misses, COSTS.miss),
                (outcome.writes, COSTS.write),
            )
        )
        assert outcome.busy_seconds == pytest.approx(total)
        assert outcome.hits + outcome.misses + outcome.writes == FEW.requests // 2


def test_one_node_with_an_idle_database_takes_as_long_as_its_requests() -> None:
    outcome = simulate(replace(FEW, write_share=0), COSTS, 1)

    assert outcome.seconds == pytest.approx(outcome.busy_seconds)
    assert outcome.bound == "busiest node"


def test_the_same_seed_gives_the_same_result_and_another_one_does_not() -> None:
    assert simulate(FEW, COSTS, 4) == simulate(FEW, COSTS, 4)
    assert simulate(FEW, COSTS, 4) != simulate(replace(FEW, seed=2), COSTS, 4)


@pytest.mark.parametrize("is_sticky", [False, True])
def test_a_longer_life_in_the_cache_gives_no_fewer_hits(is_sticky: bool) -> None:
    lifetimes = (0, 0.05, 0.2, 1, 300)
    rates = [
        simulate(replace(FEW, cache_seconds=seconds), COSTS, 2, is_sticky=is_sticky).hit_rate for seconds in lifetimes
    ]

    assert rates[0] == 0
    assert all(shorter <= longer for shorter, longer in pairwise(rates))
    assert rates[-1] > 0.3


def test_a_larger_cache_gives_more_hits() -> None:
    rates = [simulate(replace(FEW, cache_bytes=size), COSTS, 2).hit_rate for size in (10_000, 100_000, 1_000_000)]

    assert all(smaller < larger for smaller, larger in pairwise(rates))


def test_going_to_the_users_node_fills_each_cache_with_other_lists() -> None:
    assert simulate(FEW, COSTS, 4, is_sticky=True).hit_rate > simulate(FEW, COSTS, 4).hit_rate
    assert simulate(FEW, COSTS, 1, is_sticky=True).hit_rate == pytest.approx(simulate(FEW, COSTS, 1).hit_rate, abs=0.01)


def test_who_is_more_active_than_all_others_keeps_one_node_busy_and_the_rest_waiting() -> None:
    outcome = simulate(replace(FEW, zipf=3), COSTS, 4, is_sticky=True)

    assert outcome.bound == "busiest node"
    assert outcome.busiest_node_share == pytest.approx(1)
    assert outcome.node_share < 0.5


def test_more_writes_give_fewer_hits() -> None:
    rates = [simulate(replace(FEW, write_share=share), COSTS, 1).hit_rate for share in (0, 0.1, 0.5)]

    assert all(more < fewer for fewer, more in pairwise(rates))


def test_nodes_add_up_until_the_database_is_busy() -> None:
    free = replace(FEW, write_share=0)
    one, four = (simulate(free, COSTS, nodes) for nodes in (1, 4))
    busy = simulate(replace(free, database_cores=1), COSTS, 16)

    assert 3.5 < four.throughput / one.throughput < 4.1
    assert busy.bound == "database"
    assert busy.database_share == pytest.approx(1)
    # No more than its cores can do if every request were a hit.
    assert busy.throughput <= 1 / COSTS.hit.database


def test_a_disk_bounds_the_writes() -> None:
    outcome = simulate(replace(FEW, write_share=1), COSTS, 16)

    assert outcome.bound == "disk"
    assert outcome.writes / outcome.seconds == pytest.approx(1 / (COSTS.flushes_per_write * COSTS.flush_seconds))


def test_a_cache_holds_what_was_used_last_at_its_version_and_not_for_longer_than_allowed() -> None:
    cache = Cache(size=2, seconds=10)

    assert not cache.holds(user=1, version=1, now=0)
    assert cache.holds(user=1, version=1, now=9)
    assert not cache.holds(user=1, version=1, now=10), "too old"
    assert not cache.holds(user=1, version=2, now=11), "a newer version"
    assert not cache.holds(user=2, version=1, now=12)
    assert not cache.holds(user=1, version=1, now=13), "evicted"


def test_the_guide_has_what_was_measured() -> None:
    """`python -m benchmarks.simulation` writes both. What is simulated takes too long to repeat here."""
    assert capacity(read_costs()) in GUIDE.read_text()
    assert "--zipf" in generated(COSTS, {"any node": [simulate(FEW, COSTS, 1)]})
