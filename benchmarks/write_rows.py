"""Rows about writing: posts one by one, and in batches."""

import time
from collections.abc import Callable
from functools import partial
from statistics import median

import httpx

from benchmarks import contenders
from benchmarks.bench import Bench, Comparison
from benchmarks.contenders import TEXT, Account
from benchmarks.measuring import adding_rate, databases, rate, sent
from benchmarks.usage import Usage, bounds, watched
from benchmarks.wrk import Target

_BATCH = 100


def add_on_sqlite(bench: Bench) -> list[Comparison]:
    """Measure the adding of posts, where each commit waits for the disk."""
    ours = bench.stack.enter_context(contenders.postline(bench.folder()))
    pocketbase = bench.stack.enter_context(contenders.pocketbase(bench.folder()))
    usages: list[Usage] = []
    rates = bench.alternate(
        {
            "ours": partial(adding_rate, bench, ours, usages),
            "pocketbase": partial(adding_rate, bench, pocketbase),
        }
    )
    return [
        Comparison(
            "POST /posts, SQLite",
            "PocketBase",
            2,
            rates["ours"],
            rates["pocketbase"],
            "posts/s",
            remark=bounds(usages),
        )
    ]


def add_on_servers(bench: Bench) -> list[Comparison]:
    """Measure the adding of posts."""
    comparisons = []
    for name, server in bench.database_servers():
        ours = bench.stack.enter_context(contenders.postline(bench.folder(), database=bench.migrated_database(server)))
        build = bench.stack.enter_context(contenders.fastapi_build(bench.folder(), database=bench.database(server)))
        floor = bench.stack.enter_context(contenders.core_insert(bench.folder(), database=bench.database(server)))
        usages: list[Usage] = []
        rates = bench.alternate(
            {
                "ours": partial(adding_rate, bench, ours, usages),
                "build": partial(adding_rate, bench, build),
                "floor": partial(rate, bench, [floor]),
            }
        )
        floor_to_build = median(rates["floor"]) / median(rates["build"])
        comparisons += [
            Comparison(
                f"POST /posts, {name}",
                "FastAPI build",
                3,
                rates["ours"],
                rates["build"],
                "posts/s",
                remark=f"the bare INSERT + COMMIT does {floor_to_build:.1f} times as many as that build; "
                f"{bounds(usages)}",
            ),
            Comparison(
                f"POST /posts, {name}",
                "bare INSERT + COMMIT",
                1.2,
                rates["ours"],
                rates["floor"],
                "posts/s",
                remark=bounds(usages),
            ),
        ]
    return comparisons


def batch(bench: Bench) -> list[Comparison]:
    """Measure a client that adds 100 posts at once, and one after another over the same connection."""
    comparisons = []
    for name, database in databases(bench):
        ours = bench.stack.enter_context(contenders.postline(bench.folder(), database=database))
        account = ours.accounts[0]
        operations = [{"op": "create", "text": TEXT}] * _BATCH
        at_once = sent(account.adding, "/posts/batch", operations=operations)
        usages: list[Usage] = []
        rates = bench.alternate(
            {
                "batch": watched(ours.process, _posts_a_second(bench, account, [at_once]), usages),
                "single": _posts_a_second(bench, account, [account.adding] * _BATCH),
            }
        )
        comparisons.append(
            Comparison(
                f"POST /posts/batch of {_BATCH}, {name}",
                f"{_BATCH} × POST /posts",
                10,
                rates["batch"],
                rates["single"],
                "posts/s",
                remark=bounds(usages),
            )
        )
    return comparisons


def _posts_a_second(bench: Bench, account: Account, requests: list[Target]) -> Callable[[], float]:
    """Return what adds a hundred posts by these requests, again and again, and counts them."""

    def run() -> float:
        before, added = account.count(), 0
        with httpx.Client(headers=account.adding.headers) as client:
            started_at = time.monotonic()
            while time.monotonic() - started_at < bench.seconds:
                for request in requests:
                    client.post(request.url, content=request.body).raise_for_status()
                added += _BATCH
            seconds = time.monotonic() - started_at
        assert account.count() == before + added
        return added / seconds

    return run
