"""What the rows measure with: rates, typical times, and checks that the answers are correct."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import httpx
import msgspec
from sqlalchemy import URL

from benchmarks.bench import Bench
from benchmarks.contenders import ROOT, Contender
from benchmarks.process import CORES
from benchmarks.usage import Usage, watched
from benchmarks.wrk import Target, load

POSTS = 20
CONNECTIONS = 32
MIB = 1_048_576
UNCACHED = {"CACHE_MAX_BYTES": "0"}


def rate(bench: Bench, targets: list[Target], connections: int = CONNECTIONS) -> float:
    """Return the answers a second."""
    return load(targets, seconds=bench.seconds, connections=connections).rate


def adding_rate(bench: Bench, contender: Contender, usages: list[Usage] | None = None) -> float:
    """Return the posts added a second, after checking that so many are stored.

    `usages` gets how busy the process and the machine were while posts were added, and not while they were counted.
    """
    before = settled_count(contender)
    add = partial(load, contender.adding, seconds=bench.seconds, connections=CONNECTIONS)
    done = watched(contender.process, add, [] if usages is None else usages)()
    added = settled_count(contender) - before
    # Requests in flight when the load ended were stored, but wrk did not count them.
    assert done.requests <= added <= done.requests + CONNECTIONS, f"{done.requests} answered, {added} added"
    return done.rate


def settled_count(contender: Contender) -> int:
    """Return the number of posts when no request of an earlier load is in flight any more."""
    count = contender.count()
    while (later := contender.count()) != count:
        count = later
    return count


def typical_time(target: Target) -> float:
    """Return the median time of a request in milliseconds, over one connection and a second."""
    return load([target], seconds=1, connections=1).p50_ms


@contextmanager
def checked_lists(contender: Contender) -> Iterator[None]:
    """Add each account's posts, and check that it gets exactly these before the block and the same bytes after it."""
    texts = {account.email: account.add(POSTS)[::-1] for account in contender.accounts}
    answers = [_hash(get(account.listing)) for account in contender.accounts]
    assert texts == {account.email: account.texts() for account in contender.accounts}
    yield
    assert answers == [_hash(get(account.listing)) for account in contender.accounts]


def expect_cache_status(contender: Contender, status: str) -> None:
    """Check where each account's list comes from."""
    assert {get(target).headers["cache-status"] for target in contender.listing} == {status}


def get(target: Target) -> httpx.Response:
    """Return the answer to a request.

    Raises:
        httpx.HTTPStatusError: It is an error.
    """
    return httpx.get(target.url, headers=target.headers, timeout=60).raise_for_status()


def sent(target: Target, path: str, **body: object) -> Target:
    """Return a `POST` of this body to another path, with the headers of a request that has a body."""
    url = str(httpx.URL(target.url).copy_with(raw_path=path.encode()))
    return Target(url, headers=target.headers, method="POST", body=msgspec.json.encode(body).decode())


def printed(module: str, *arguments: str) -> str:
    """Return what a program of `benchmarks.apps` prints, which runs on one core as contenders do."""
    command = [sys.executable, "-m", f"benchmarks.apps.{module}", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        os.sched_setaffinity(process.pid, CORES[:1])
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return output


def databases(bench: Bench) -> Iterator[tuple[str, URL]]:
    """Yield a name and the address of a database of each kind: SQLite, and a migrated one on MariaDB."""
    yield "SQLite", URL.create("sqlite+aiosqlite", database=str(bench.folder() / "postline.db"))
    yield "MariaDB", bench.migrated_database()


def _hash(answer: httpx.Response) -> str:
    return hashlib.sha256(answer.content).hexdigest()
