"""A model of several nodes in front of one database, kept as busy as they can be."""

import random
from collections import OrderedDict
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from app.settings import Settings
from benchmarks.costs import Costs


def _setting(name: str) -> Any:
    return Settings.model_fields[name].default


def _assumed(value: Any, text: str) -> Any:
    return field(default=value, metadata={"help": text})


@dataclass(frozen=True)
class Assumptions:
    """What the model takes as given; sizes are in bytes and times in seconds. Each has a flag of the same name."""

    users: int = _assumed(1_000_000, "users there are")
    zipf: float = _assumed(1.0, "the user of rank r sends requests in proportion to 1 / r to the power of this")
    write_share: float = _assumed(0.05, "share of the requests that add a post; the others read the whole list")
    list_bytes: int = _assumed(0, "size of each user's list in the cache; 0 is that of the list that was measured")
    cache_bytes: int = _assumed(_setting("cache_max_bytes"), "size of each node's cache, which it shares with nobody")
    cache_seconds: float = _assumed(float(_setting("cache_seconds")), "time that a list stays in the cache")
    database_cores: int = _assumed(8, "cores of the one database server, which share its work evenly")
    flushes_at_once: int = _assumed(1, "flushes that the database's disk carries out at the same time")
    requests: int = _assumed(2_000_000, "requests sent, of which the first half warms the caches and is not counted")
    seed: int = _assumed(1, "seed of everything random")


@dataclass(frozen=True)
class Outcome:
    """What so many nodes did, from the moment the caches were warm.

    `busy_seconds` is the processor time of all nodes. The shares say how busy the nodes were on average, the busiest
    one of them, and the database server's cores and disk.
    """

    nodes: int
    hits: int
    misses: int
    writes: int
    seconds: float
    busy_seconds: float
    node_share: float
    busiest_node_share: float
    database_share: float
    disk_share: float

    @property
    def throughput(self) -> float:
        """The number of answers a second."""
        return (self.hits + self.misses + self.writes) / self.seconds

    @property
    def hit_rate(self) -> float:
        """The share of the reads that a cache answered."""
        return self.hits / (self.hits + self.misses)

    @property
    def bound(self) -> str:
        """What was used up first."""
        shares = {"busiest node": self.busiest_node_share, "database": self.database_share, "disk": self.disk_share}
        return max(shares, key=lambda name: shares[name])


class Cache:
    """The lists that one node holds, by user and version. The one that was used least recently is evicted first."""

    def __init__(self, size: int, seconds: float) -> None:
        self._size = size
        self._seconds = seconds
        self._stored_at: OrderedDict[tuple[int, int], float] = OrderedDict()

    def holds(self, user: int, version: int, now: float) -> bool:
        """Return whether the list is there and not too old; otherwise it is there from now on."""
        key = (user, version)
        stored_at = self._stored_at.get(key)
        if stored_at is not None and now - stored_at < self._seconds:
            self._stored_at.move_to_end(key)
            return True
        self._stored_at[key] = now
        self._stored_at.move_to_end(key)
        if len(self._stored_at) > self._size:
            self._stored_at.popitem(last=False)
        return False


class _Load:
    """The time that nodes, database and disk have worked. `now` is when the busiest of them has done its part."""

    def __init__(self, nodes: int, database_cores: int) -> None:
        self.nodes = [0.0] * nodes
        self.database = self.disk = self.now = 0.0
        self._database_cores = database_cores

    def add(self, node: int, *, node_seconds: float, database_seconds: float, disk_seconds: float = 0) -> None:
        self.nodes[node] += node_seconds
        self.database += database_seconds / self._database_cores
        self.disk += disk_seconds
        self.now = max(self.now, self.nodes[node], self.database, self.disk)


def simulate(assumptions: Assumptions, costs: Costs, nodes: int, *, is_sticky: bool = False) -> Outcome:
    """Send the requests to so many nodes: each to any of them, or with `is_sticky` all of a user to the same one.

    There is always a request that waits, so whatever is used up first decides how many are answered.
    """
    source = random.Random(assumptions.seed)  # noqa: S311 - no secrets are made of it
    ranks = range(assumptions.users)
    weights = list(accumulate((rank + 1) ** -assumptions.zipf for rank in ranks))
    node_of = [source.randrange(nodes) for _ in ranks] if is_sticky else None
    capacity = assumptions.cache_bytes // (assumptions.list_bytes or costs.list_bytes)
    caches = [Cache(capacity, assumptions.cache_seconds) for _ in range(nodes)]
    versions: dict[int, int] = {}
    load = _Load(nodes, assumptions.database_cores)
    disk_seconds = costs.flushes_per_write * costs.flush_seconds / assumptions.flushes_at_once
    counts = {"hit": 0, "miss": 0, "write": 0}
    warm = _Load(nodes, assumptions.database_cores)
    for number, user in enumerate(source.choices(ranks, cum_weights=weights, k=assumptions.requests)):
        if number == assumptions.requests // 2:
            warm = deepcopy(load)
            counts = dict.fromkeys(counts, 0)
        node = source.randrange(nodes) if node_of is None else node_of[user]
        if source.random() < assumptions.write_share:
            versions[user] = versions.get(user, 0) + 1
            kind, cost = "write", costs.write
        elif caches[node].holds(user, versions.get(user, 0), load.now):
            kind, cost = "hit", costs.hit
        else:
            kind, cost = "miss", costs.miss
        counts[kind] += 1
        load.add(
            node,
            node_seconds=cost.node,
            database_seconds=cost.database,
            disk_seconds=disk_seconds if kind == "write" else 0,
        )
    seconds = load.now - warm.now
    busy = [now - before for now, before in zip(load.nodes, warm.nodes, strict=True)]
    return Outcome(
        nodes=nodes,
        hits=counts["hit"],
        misses=counts["miss"],
        writes=counts["write"],
        seconds=seconds,
        busy_seconds=sum(busy),
        node_share=sum(busy) / nodes / seconds,
        busiest_node_share=max(busy) / seconds,
        database_share=(load.database - warm.database) / seconds,
        disk_share=(load.disk - warm.disk) / seconds,
    )
