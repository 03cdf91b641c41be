"""What requests cost one node and one database server: processor time, flushes to disk, and memory."""

import os
import re
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import httpx
import msgspec

from benchmarks import contenders
from benchmarks.bench import Bench, migrate
from benchmarks.contenders import ROOT, Contender
from benchmarks.machine import processor
from benchmarks.measuring import CONNECTIONS, POSTS, UNCACHED, expect_cache_status
from benchmarks.usage import processor_seconds
from benchmarks.wrk import Target, load
from tests import memory
from tests.mariadb_server import MariaDBServer, mariadb_server

PATH = ROOT / "benchmarks/costs.json"

_FLUSHES = 300
_FLUSHED_BYTES = 4096
_STREAMS_PER_ACCOUNT = 10


class Cost(msgspec.Struct, frozen=True):
    """The processor time of one request in seconds, on the node and on the database server."""

    node: float
    database: float


class Costs(msgspec.Struct, frozen=True):
    """What was measured with one process on one core and one MariaDB server.

    Besides times in seconds: how many times the server flushes for a post, the bytes that a list of `posts` takes in
    the cache and a post in the database with its event, and the memory of a process and of an open feed in bytes.
    """

    hit: Cost
    miss: Cost
    write: Cost
    flushes_per_write: float
    flush_seconds: float
    posts: int
    list_bytes: int
    post_bytes: int
    process_bytes: int
    feed_bytes: int
    processor: str


def read_costs() -> Costs:
    """Return the costs that were measured last."""
    return msgspec.json.decode(PATH.read_bytes(), type=Costs)


def write_costs(costs: Costs) -> None:
    """Keep the costs for `read_costs`."""
    PATH.write_bytes(msgspec.json.format(msgspec.json.encode(costs), indent=2) + b"\n")


def measure_costs(bench: Bench) -> Costs:
    """Measure them beside a MariaDB of their own, whose processor time is nobody else's."""
    # As durable as the rows have it, and with memory for everything.
    options = ["--innodb-flush-log-at-trx-commit=1", "--innodb-log-file-size=256M", "--innodb-buffer-pool-size=512M"]
    with ExitStack() as stack:
        server = stack.enter_context(mariadb_server(bench.folder(), *options))
        migrate(server.url())
        ours = stack.enter_context(contenders.postline(bench.folder(), database=server.url()))
        process_bytes = memory.resident(ours.process)
        feed_bytes = _feed_bytes(ours)
        for account in ours.accounts:
            account.add(POSTS)
        hit = _cost(bench, ours, server, ours.listing)
        expect_cache_status(ours, "postline; hit")
        list_bytes = _cached_bytes(ours) // len(ours.accounts)
        before, flushes = ours.count(), _flushes(server)
        write = _cost(bench, ours, server, ours.adding)
        flushes_per_write = (_flushes(server) - flushes) / (ours.count() - before)
        post_bytes = _stored_bytes(server) // ours.count()
    with ExitStack() as stack:
        server = stack.enter_context(mariadb_server(bench.folder(), *options))
        migrate(server.url())
        ours = stack.enter_context(contenders.postline(bench.folder(), database=server.url(), settings=UNCACHED))
        for account in ours.accounts:
            account.add(POSTS)
        miss = _cost(bench, ours, server, ours.listing)
        expect_cache_status(ours, "postline; fwd=miss")
    return Costs(
        hit=hit,
        miss=miss,
        write=write,
        flushes_per_write=flushes_per_write,
        flush_seconds=_flush_seconds(bench.folder()),
        posts=POSTS,
        list_bytes=list_bytes,
        post_bytes=post_bytes,
        process_bytes=process_bytes,
        feed_bytes=feed_bytes,
        processor=processor(),
    )


def _cost(bench: Bench, contender: Contender, server: MariaDBServer, targets: list[Target]) -> Cost:
    """Return the median over the rounds, after one to warm up."""
    load(targets, seconds=1, connections=CONNECTIONS)
    costs = list[Cost]()
    for _ in range(bench.rounds):
        before = [processor_seconds(process) for process in (contender.process, server.pid)]
        requests = load(targets, seconds=bench.seconds, connections=CONNECTIONS).requests
        used = [
            (processor_seconds(process) - seconds) / requests
            for process, seconds in zip((contender.process, server.pid), before, strict=True)
        ]
        costs.append(Cost(*used))
    return Cost(median(cost.node for cost in costs), median(cost.database for cost in costs))


def _cached_bytes(contender: Contender) -> int:
    metrics = httpx.get(f"{contender.url}/metrics").raise_for_status().text
    found = re.search(r"^postline_cache_bytes(?:\{.*\})? (\S+)$", metrics, re.MULTILINE)
    assert found is not None
    return int(float(found[1]))


def _flushes(server: MariaDBServer) -> int:
    # With `innodb_flush_log_at_trx_commit = 1`, each write to the log is followed by a flush.
    ((_, value),) = server.execute("SHOW GLOBAL STATUS LIKE 'Innodb_log_writes'")
    return int(value)


def _stored_bytes(server: MariaDBServer) -> int:
    ((size,),) = server.execute(
        "ANALYZE TABLE postline.posts, postline.events",
        "SELECT SUM(data_length + index_length) FROM information_schema.tables "
        "WHERE table_schema = 'postline' AND table_name IN ('posts', 'events')",
    )
    return int(size)


def _feed_bytes(contender: Contender) -> int:
    """Return the memory that an open feed takes."""
    host, port = httpx.URL(contender.url).host, httpx.URL(contender.url).port
    before = memory.resident(contender.process)
    with ExitStack() as stack:
        opened = list[socket.socket]()
        for account in contender.accounts:
            request = (
                f"GET /posts/events HTTP/1.1\r\nHost: {host}\r\n"
                f"Authorization: {account.listing.headers['authorization']}\r\nLast-Event-ID: 0\r\n\r\n"
            )
            for _ in range(_STREAMS_PER_ACCOUNT):
                connection = stack.enter_context(socket.create_connection((host, port), timeout=30))
                connection.sendall(request.encode())
                opened.append(connection)
        for connection in opened:
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        return (memory.resident(contender.process) - before) // len(opened)


def _flush_seconds(folder: Path) -> float:
    """Return the time to write a little and flush it to disk."""
    times = list[float]()
    with (folder / "flushed").open("wb", buffering=0) as file:
        for _ in range(_FLUSHES):
            started_at = time.perf_counter()
            file.write(b"x" * _FLUSHED_BYTES)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - started_at)
    return median(times)
