"""Rows about reading: lists, pages, changes and searches."""

import time
from functools import partial

from benchmarks import contenders
from benchmarks.bench import Bench, Comparison
from benchmarks.measuring import (
    UNCACHED,
    checked_lists,
    databases,
    expect_cache_status,
    get,
    rate,
    typical_time,
)
from benchmarks.process import stay_beside
from benchmarks.seeding import add_posts
from benchmarks.usage import Usage, bounds, watched
from benchmarks.wrk import Target, load, loading


def cached_list(bench: Bench) -> list[Comparison]:
    """Measure lists from the cache."""
    start = bench.stack.enter_context
    ours = start(contenders.postline(bench.folder()))
    build = start(contenders.fastapi_build(bench.folder()))
    pocketbase = start(contenders.pocketbase(bench.folder()))
    hello = start(contenders.hello(bench.folder()))
    usages: list[Usage] = []
    with checked_lists(ours), checked_lists(build), checked_lists(pocketbase):
        rates = bench.alternate(
            {
                "ours": watched(ours.process, partial(rate, bench, ours.listing), usages),
                "hello": partial(rate, bench, [hello]),
                "build": partial(rate, bench, build.listing),
                "pocketbase": partial(rate, bench, pocketbase.listing),
            }
        )
        expect_cache_status(ours, "postline; hit")
    return [
        Comparison("cached GET /posts", against, goal, rates["ours"], rates[name], "answers/s", remark=bounds(usages))
        for name, against, goal in (
            ("hello", "bare GET /hello", 0.8),
            ("build", "FastAPI build", 12),
            ("pocketbase", "PocketBase", 6),
        )
    ]


def cached_list_on_servers(bench: Bench) -> list[Comparison]:
    """Measure lists from the cache where each request asks a database server for the timeline's version."""
    comparisons = []
    on_sqlite = bench.stack.enter_context(contenders.postline(bench.folder()))
    with checked_lists(on_sqlite):
        for name, server in bench.database_servers():
            ours = bench.stack.enter_context(
                contenders.postline(bench.folder(), database=bench.migrated_database(server))
            )
            usages: list[Usage] = []
            with checked_lists(ours):
                rates = bench.alternate(
                    {
                        "ours": watched(ours.process, partial(rate, bench, ours.listing), usages),
                        "sqlite": partial(rate, bench, on_sqlite.listing),
                    }
                )
                expect_cache_status(ours, "postline; hit")
            comparisons.append(
                Comparison(
                    f"cached GET /posts, {name}",
                    "the same on SQLite",
                    0.7,
                    rates["ours"],
                    rates["sqlite"],
                    "answers/s",
                    remark=bounds(usages),
                )
            )
    return comparisons


def uncached_list(bench: Bench) -> list[Comparison]:
    """Measure lists that every request reads from the database."""
    comparisons = []
    on_servers = (
        (name, bench.migrated_database(server), bench.database(server)) for name, server in bench.database_servers()
    )
    for name, ours_on, theirs_on in (("SQLite", None, None), *on_servers):
        ours = bench.stack.enter_context(contenders.postline(bench.folder(), database=ours_on, settings=UNCACHED))
        build = bench.stack.enter_context(contenders.fastapi_build(bench.folder(), database=theirs_on, cache=False))
        usages: list[Usage] = []
        with checked_lists(ours), checked_lists(build):
            rates = bench.alternate(
                {
                    "ours": watched(ours.process, partial(rate, bench, ours.listing), usages),
                    "build": partial(rate, bench, build.listing),
                }
            )
            expect_cache_status(ours, "postline; fwd=miss")
        comparisons.append(
            Comparison(
                f"uncached GET /posts, {name}",
                "FastAPI build",
                6,
                rates["ours"],
                rates["build"],
                "answers/s",
                remark=bounds(usages),
            )
        )
    return comparisons


def log_in(bench: Bench) -> list[Comparison]:
    """Measure the p99 of cached lists while passwords are hashed without pause, and while none are."""
    ours = bench.stack.enter_context(contenders.postline(bench.folder()))
    logging_in = ours.logging_in

    def slowest() -> float:
        return load(ours.listing, seconds=bench.seconds, connections=4).p99_ms

    def slowest_while_logging_in() -> float:
        with loading(logging_in, seconds=bench.seconds + 30, connections=32):
            time.sleep(0.5)
            return slowest()

    usages: list[Usage] = []
    with checked_lists(ours):
        load(logging_in, seconds=1, connections=4)
        times = bench.alternate({"busy": watched(ours.process, slowest_while_logging_in, usages), "idle": slowest})
    work = "cached GET /posts, p99 while 32 clients log in"
    return [
        Comparison(
            work, "the same, idle", 1.2, times["busy"], times["idle"], "ms", is_limit=True, remark=bounds(usages)
        )
    ]


def newest_page(bench: Bench) -> list[Comparison]:
    """Measure the newest page of a user with a million posts, read from the database."""
    comparisons = []
    for name, database in databases(bench):
        ours = bench.stack.enter_context(contenders.postline(bench.folder(), database=database, settings=UNCACHED))
        many, few = ours.accounts[:2]
        pages = {}
        for account, count in ((many, 1_000_000), (few, 100)):
            add_posts(database, account.email, count, contenders.TEXT)
            pages[account.email] = Target(f"{account.listing.url}?limit=20", headers=account.listing.headers)
            assert len(get(pages[account.email]).json()) == 20
        usages: list[Usage] = []
        times = bench.alternate(
            {
                "many": watched(ours.process, partial(typical_time, pages[many.email]), usages),
                "few": partial(typical_time, pages[few.email]),
            }
        )
        comparisons.append(
            Comparison(
                f"newest page of 1,000,000 posts, {name}",
                "of 100 posts",
                1.1,
                times["many"],
                times["few"],
                "ms",
                is_limit=True,
                remark=bounds(usages),
            )
        )
    return comparisons


def changes(bench: Bench) -> list[Comparison]:
    """Measure the newest 10 changes of 100,000 posts, read from the database, compared to the newest 10 posts."""
    comparisons = []
    for name, database in databases(bench):
        ours = bench.stack.enter_context(contenders.postline(bench.folder(), database=database, settings=UNCACHED))
        account = ours.accounts[0]
        add_posts(database, account.email, 100_000, contenders.TEXT)
        account.add(10)
        paths = {"changes": "/posts/changes?since=100000", "page": "/posts?limit=10"}
        targets = {key: Target(f"{ours.url}{path}", headers=account.listing.headers) for key, path in paths.items()}
        changed = [change["post"] for change in get(targets["changes"]).json()["changes"]]
        assert changed[::-1] == get(targets["page"]).json()
        usages: list[Usage] = []
        times = bench.alternate(
            {
                "changes": watched(ours.process, partial(typical_time, targets["changes"]), usages),
                "page": partial(typical_time, targets["page"]),
            }
        )
        work = f"GET /posts/changes, 10 among 100,000, {name}"
        comparisons.append(
            Comparison(
                work,
                "GET /posts?limit=10",
                1.5,
                times["changes"],
                times["page"],
                "ms",
                is_limit=True,
                remark=bounds(usages),
            )
        )
    return comparisons


def search(bench: Bench) -> list[Comparison]:
    """Measure a search for what none of 10,000 posts has, compared to reading all of them from the database."""
    comparisons = []
    for name, database in databases(bench):
        ours = bench.stack.enter_context(contenders.postline(bench.folder(), database=database, settings=UNCACHED))
        account = ours.accounts[0]
        add_posts(database, account.email, 10_000, "Straße " * 40)
        targets = {
            query: Target(f"{account.listing.url}{query}", headers=account.listing.headers)
            for query in ("", "?q=missing")
        }
        assert [len(get(target).json()) for target in targets.values()] == [10_000, 0]
        usages: list[Usage] = []
        times = bench.alternate(
            {
                "search": watched(ours.process, partial(typical_time, targets["?q=missing"]), usages),
                "list": partial(typical_time, targets[""]),
            }
        )
        comparisons.append(
            Comparison(
                f"search in 10,000 posts (3 MB), {name}",
                "reading that list",
                1,
                times["search"],
                times["list"],
                "ms",
                is_limit=True,
                remark=bounds(usages),
            )
        )
    return comparisons


def two_workers(bench: Bench) -> list[Comparison]:
    """Measure cached lists with two workers that share MariaDB."""
    stay_beside(2)
    one, two = (
        bench.stack.enter_context(
            contenders.postline(bench.folder(), database=bench.migrated_database(), workers=workers)
        )
        for workers in (1, 2)
    )
    usages: list[Usage] = []
    with checked_lists(one), checked_lists(two):
        rates = bench.alternate(
            {
                "two": watched(two.process, partial(rate, bench, two.listing), usages),
                "one": partial(rate, bench, one.listing),
            }
        )
    return [
        Comparison(
            "cached GET /posts, two workers, MariaDB",
            "one worker",
            1.8,
            rates["two"],
            rates["one"],
            "answers/s",
            remark=bounds(usages),
        )
    ]
