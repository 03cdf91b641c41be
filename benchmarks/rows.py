"""The rows of the benchmark: one function for each workload. Each also checks that the answers are correct."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

import httpx
import msgspec
from sqlalchemy import URL

from benchmarks import contenders
from benchmarks.bench import Bench, Comparison
from benchmarks.contenders import PASSWORD, Contender
from benchmarks.process import CORES
from benchmarks.seeding import add_posts
from benchmarks.wrk import Target, load, loading
from tests import memory
from tests.services import redis_url

POSTS = 20
CONNECTIONS = 32
_MIB = 1_048_576
_UNCACHED = {"CACHE_MAX_BYTES": "0"}


def cached_list(bench: Bench) -> list[Comparison]:
    """Measure lists from the cache."""
    start = bench.stack.enter_context
    ours = start(contenders.postline(bench.folder()))
    build = start(contenders.fastapi_build(bench.folder()))
    pocketbase = start(contenders.pocketbase(bench.folder()))
    hello = start(contenders.hello(bench.folder()))
    with _checked_lists(ours), _checked_lists(build), _checked_lists(pocketbase):
        rates = bench.alternate(
            {
                "ours": partial(_rate, bench, ours.listing),
                "hello": partial(_rate, bench, [hello]),
                "build": partial(_rate, bench, build.listing),
                "pocketbase": partial(_rate, bench, pocketbase.listing),
            }
        )
        _expect_cache_status(ours, "postline; hit")
    work = "cached GET /posts"
    return [
        Comparison(work, "bare GET /hello", 0.65, rates["ours"], rates["hello"], "answers/s"),
        Comparison(work, "FastAPI build", 10, rates["ours"], rates["build"], "answers/s"),
        Comparison(work, "PocketBase", 4, rates["ours"], rates["pocketbase"], "answers/s"),
    ]


def uncached_list(bench: Bench) -> list[Comparison]:
    """Measure lists that every request reads from the database."""
    comparisons = []
    for name, ours_on, theirs_on in (
        ("SQLite", None, None),
        ("MariaDB", bench.migrated_database(), bench.database()),
    ):
        ours = bench.stack.enter_context(contenders.postline(bench.folder(), database=ours_on, settings=_UNCACHED))
        build = bench.stack.enter_context(contenders.fastapi_build(bench.folder(), database=theirs_on, cache=False))
        with _checked_lists(ours), _checked_lists(build):
            rates = bench.alternate(
                {"ours": partial(_rate, bench, ours.listing), "build": partial(_rate, bench, build.listing)}
            )
            _expect_cache_status(ours, "postline; fwd=miss")
        comparisons.append(
            Comparison(f"uncached GET /posts, {name}", "FastAPI build", 3, rates["ours"], rates["build"], "answers/s")
        )
    return comparisons


def add_on_sqlite(bench: Bench) -> list[Comparison]:
    """Measure the adding of posts, where each commit waits for the disk."""
    ours = bench.stack.enter_context(contenders.postline(bench.folder()))
    pocketbase = bench.stack.enter_context(contenders.pocketbase(bench.folder()))
    rates = bench.alternate(
        {"ours": partial(_adding_rate, bench, ours), "pocketbase": partial(_adding_rate, bench, pocketbase)}
    )
    return [Comparison("POST /posts, SQLite", "PocketBase", 1, rates["ours"], rates["pocketbase"], "posts/s")]


def add_on_mariadb(bench: Bench) -> list[Comparison]:
    """Measure the adding of posts."""
    ours = bench.stack.enter_context(contenders.postline(bench.folder(), database=bench.migrated_database()))
    build = bench.stack.enter_context(contenders.fastapi_build(bench.folder(), database=bench.database()))
    floor = bench.stack.enter_context(contenders.core_insert(bench.folder(), database=bench.database()))
    rates = bench.alternate(
        {
            "ours": partial(_adding_rate, bench, ours),
            "build": partial(_adding_rate, bench, build),
            "floor": partial(_rate, bench, [floor]),
        }
    )
    work = "POST /posts, MariaDB"
    floor_to_build = median(rates["floor"]) / median(rates["build"])
    return [
        Comparison(
            work,
            "FastAPI build",
            3,
            rates["ours"],
            rates["build"],
            "posts/s",
            remark=f"the bare INSERT + COMMIT does {floor_to_build:.1f} times as many as that build.",
        ),
        Comparison(work, "bare INSERT + COMMIT", 0.6, rates["ours"], rates["floor"], "posts/s"),
    ]


def log_in(bench: Bench) -> list[Comparison]:
    """Measure the p99 of cached lists while passwords are hashed without pause, and while none are."""
    ours = bench.stack.enter_context(contenders.postline(bench.folder()))
    logging_in = [
        Target(
            f"{ours.url}/auth/login",
            headers={"content-type": "application/json"},
            method="POST",
            body=msgspec.json.encode({"email": account.email, "password": PASSWORD}).decode(),
        )
        for account in ours.accounts
    ]

    def slowest() -> float:
        return load(ours.listing, seconds=bench.seconds, connections=4).p99_ms

    def slowest_while_logging_in() -> float:
        with loading(logging_in, seconds=bench.seconds + 30, connections=32):
            time.sleep(0.5)
            return slowest()

    with _checked_lists(ours):
        load(logging_in, seconds=1, connections=4)
        times = bench.alternate({"busy": slowest_while_logging_in, "idle": slowest})
    work = "cached GET /posts, p99 while 32 clients log in"
    return [Comparison(work, "the same, idle", 3, times["busy"], times["idle"], "ms", is_limit=True)]


def newest_page(bench: Bench) -> list[Comparison]:
    """Measure the newest page of a user with a million posts, read from the database."""
    comparisons = []
    for name, database in _databases(bench):
        ours = bench.stack.enter_context(contenders.postline(bench.folder(), database=database, settings=_UNCACHED))
        many, few = ours.accounts[:2]
        pages = {}
        for account, count in ((many, 1_000_000), (few, 100)):
            add_posts(database, account.email, count, contenders.TEXT)
            pages[account.email] = Target(f"{account.listing.url}?limit=20", headers=account.listing.headers)
            assert len(_get(pages[account.email]).json()) == 20
        times = bench.alternate({email: partial(_typical_time, bench, page) for email, page in pages.items()})
        work = f"newest page of 1,000,000 posts, {name}"
        comparisons.append(
            Comparison(work, "of 100 posts", 1.2, times[many.email], times[few.email], "ms", is_limit=True)
        )
    return comparisons


def search(bench: Bench) -> list[Comparison]:
    """Measure a search for what none of 10,000 posts has, compared to reading all of them from the database."""
    comparisons = []
    for name, database in _databases(bench):
        ours = bench.stack.enter_context(contenders.postline(bench.folder(), database=database, settings=_UNCACHED))
        account = ours.accounts[0]
        add_posts(database, account.email, 10_000, "Straße " * 40)
        targets = {
            query: Target(f"{account.listing.url}{query}", headers=account.listing.headers)
            for query in ("", "?q=missing")
        }
        assert [len(_get(target).json()) for target in targets.values()] == [10_000, 0]
        times = bench.alternate({query: partial(_typical_time, bench, target) for query, target in targets.items()})
        work = f"search in 10,000 posts, {name}"
        comparisons.append(
            Comparison(work, "reading that list", 1, times["?q=missing"], times[""], "ms", is_limit=True)
        )
    return comparisons


def large_list(bench: Bench) -> list[Comparison]:
    """Measure the memory that a list of 500 MB takes."""
    comparisons = []
    for name, database in _databases(bench):
        ours = bench.stack.enter_context(contenders.postline(bench.folder(), database=database))
        account = ours.accounts[0]
        add_posts(database, account.email, 500, "x" * 1_000_000)
        before = memory.reset_peak(ours.process)
        for _ in range(3):
            with httpx.stream("GET", account.listing.url, headers=account.listing.headers, timeout=120) as answer:
                assert sum(len(part) for part in answer.iter_bytes()) > 500_000_000
        grown = (memory.peak(ours.process) - before) / _MIB
        comparisons.append(
            Comparison(f"memory for a list of 500 MB, {name}", "64 MiB", 1, [grown], [64], "MiB", is_limit=True)
        )
    return comparisons


def large_posts(bench: Bench) -> list[Comparison]:
    """Measure the memory that 32 concurrent posts of 1 MiB take."""
    ours = bench.stack.enter_context(contenders.postline(bench.folder()))
    text = "x" * (_MIB - len('{"text":""}'))

    async def add_all() -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            answers = await asyncio.gather(
                *(client.post(a.adding.url, headers=a.adding.headers, json={"text": text}) for a in ours.accounts)
            )
        assert {answer.status_code for answer in answers} == {201}

    before = memory.reset_peak(ours.process)
    for _ in range(3):
        asyncio.run(add_all())
    grown = (memory.peak(ours.process) - before) / _MIB
    assert ours.count() == 3 * len(ours.accounts)
    size = float(len(ours.accounts))
    return [Comparison("memory for 32 posts of 1 MiB at once", "their size", 4, [grown], [size], "MiB", is_limit=True)]


def two_workers(bench: Bench) -> list[Comparison]:
    """Measure cached lists with two workers that share MariaDB and Redis."""
    settings = {"REDIS_URL": redis_url()}
    one, two = (
        bench.stack.enter_context(
            contenders.postline(bench.folder(), database=bench.migrated_database(), workers=workers, settings=settings)
        )
        for workers in (1, 2)
    )
    shares: list[float] = []

    def rate_and_share() -> float:
        with _busy(shares):
            return _rate(bench, two.listing)

    with _checked_lists(one), _checked_lists(two):
        rates = bench.alternate({"two": rate_and_share, "one": partial(_rate, bench, one.listing)})
    return [
        Comparison(
            "cached GET /posts, two workers, MariaDB and Redis",
            "one worker",
            1.7,
            rates["two"],
            rates["one"],
            "answers/s",
            remark=f"while two workers answered, the machine's {len(CORES)} cores were {median(shares):.0%} busy, "
            "including wrk and Redis.",
        )
    ]


ROWS: dict[str, Callable[[Bench], list[Comparison]]] = {
    "cached-list": cached_list,
    "uncached-list": uncached_list,
    "add-on-sqlite": add_on_sqlite,
    "add-on-mariadb": add_on_mariadb,
    "log-in": log_in,
    "newest-page": newest_page,
    "search": search,
    "large-list": large_list,
    "large-posts": large_posts,
    "two-workers": two_workers,
}


def _rate(bench: Bench, targets: list[Target]) -> float:
    return load(targets, seconds=bench.seconds, connections=CONNECTIONS).rate


def _adding_rate(bench: Bench, contender: Contender) -> float:
    before = _settled_count(contender)
    done = load(contender.adding, seconds=bench.seconds, connections=CONNECTIONS)
    added = _settled_count(contender) - before
    # Requests in flight when the load ended were stored, but wrk did not count them.
    assert done.requests <= added <= done.requests + CONNECTIONS, f"{done.requests} answered, {added} added"
    return done.rate


def _settled_count(contender: Contender) -> int:
    """Return the number of posts when no request of an earlier load is in flight any more."""
    count = contender.count()
    while (later := contender.count()) != count:
        count = later
    return count


def _typical_time(bench: Bench, target: Target) -> float:
    return load([target], seconds=bench.seconds, connections=1).p50_ms


@contextmanager
def _checked_lists(contender: Contender) -> Iterator[None]:
    """Add each account's posts, and check that it gets exactly these before the block and the same bytes after it."""
    texts = {account.email: account.add(POSTS)[::-1] for account in contender.accounts}
    answers = [_hash(_get(account.listing)) for account in contender.accounts]
    assert texts == {account.email: account.texts() for account in contender.accounts}
    yield
    assert answers == [_hash(_get(account.listing)) for account in contender.accounts]


def _expect_cache_status(contender: Contender, status: str) -> None:
    assert {_get(target).headers["cache-status"] for target in contender.listing} == {status}


def _get(target: Target) -> httpx.Response:
    return httpx.get(target.url, headers=target.headers, timeout=60).raise_for_status()


def _hash(answer: httpx.Response) -> str:
    return hashlib.sha256(answer.content).hexdigest()


@contextmanager
def _busy(shares: list[float]) -> Iterator[None]:
    """Append the share of all cores' time that was used during the block."""

    def ticks() -> tuple[int, int]:
        fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return sum(fields), fields[3] + fields[4]

    total, idle = ticks()
    yield
    total, idle = ticks()[0] - total, ticks()[1] - idle
    shares.append(1 - idle / total)


def _databases(bench: Bench) -> Iterator[tuple[str, URL]]:
    yield "SQLite", URL.create("sqlite+aiosqlite", database=str(bench.folder() / "postline.db"))
    yield "MariaDB", bench.migrated_database()
