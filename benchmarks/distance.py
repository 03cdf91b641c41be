"""Measures what each millisecond between the service and MariaDB costs, and writes the table into the guide."""

import argparse
import asyncio
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from statistics import median
from textwrap import fill
from typing import Any

import asyncmy
from sqlalchemy import URL

from benchmarks.bench import Bench, Servers
from benchmarks.contenders import ROOT, Contender, postline
from benchmarks.measuring import POSTS
from benchmarks.process import CORES
from benchmarks.wrk import Load, load

_GUIDE = ROOT / "docs/operations/deployment.md"
_BEGIN, _END = "<!-- benchmarks.distance begins -->\n", "<!-- benchmarks.distance ends -->\n"

_ADDED_MS = (0, 1, 5)
_WORKERS = (1, 3)
_CLIENTS = (32, 256)
_PINGS = 100


class DelayingProxy:
    """Passes bytes between its port and a database, those from the database `delay` seconds later.

    Pieces wait side by side, so that only time is added and nothing else is limited.
    """

    def __init__(self, database: URL) -> None:
        self.delay = 0.0
        self.port = 0
        self._database = database
        self._loop = asyncio.new_event_loop()
        self._tasks = set[asyncio.Task[None]]()

    @contextmanager
    def running(self) -> Iterator[URL]:
        """Run in a thread, and yield the database's address through the proxy."""
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._connect, "127.0.0.1", 0), self._loop
        ).result()
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self._database.set(host="127.0.0.1", port=self.port)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(self._database.host, self._database.port)
        await asyncio.gather(self._pass(reader, forth, is_delayed=False), self._pass(back, writer, is_delayed=True))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_delayed: bool) -> None:
        while data := await reader.read(65_536):
            if is_delayed and self.delay:
                self._loop.call_later(self.delay, writer.write, data)
            else:
                writer.write(data)
        self._loop.call_later(self.delay, writer.close)


def round_trip_ms(database: URL) -> float:
    """Return the median time of an empty statement, in milliseconds."""

    async def measure() -> float:
        connection: Any = await asyncmy.connect(
            host=database.host, port=database.port or 3306, user=database.username, password=database.password or ""
        )
        times = []
        async with connection.cursor() as cursor:
            for _ in range(_PINGS):
                began = time.perf_counter()
                await cursor.execute("SELECT 1")
                times.append(time.perf_counter() - began)
        connection.close()
        return median(times) * 1000

    return asyncio.run(measure())


def measure(bench: Bench) -> tuple[dict[int, float], dict[tuple[int, int, int], dict[str, list[Load]]]]:
    """Return the round trip for each delay, and the loads for each number of workers, clients and milliseconds.

    All delays of one service alternate. Lists are measured before posts are added, which would make them longer.
    """
    trips: dict[int, float] = {}
    loads: dict[tuple[int, int, int], dict[str, list[Load]]] = {}
    for workers in _WORKERS:
        proxy = DelayingProxy(bench.migrated_database())
        through = bench.stack.enter_context(proxy.running())
        ours = bench.stack.enter_context(postline(bench.folder(), database=through, workers=workers))
        for account in ours.accounts:
            account.add(POSTS)
        for added in _ADDED_MS:
            proxy.delay = added / 1000
            trips.setdefault(added, round_trip_ms(through))
        for work in ("GET", "POST"):
            for clients in _CLIENTS:
                for number in range(bench.rounds + 1):
                    for added in _ADDED_MS:
                        proxy.delay = added / 1000
                        done = _load(bench, ours, work, clients)
                        if number:  # The first round is a warm-up.
                            loads.setdefault((workers, clients, added), {"GET": [], "POST": []})[work].append(done)
    return trips, loads


def _load(bench: Bench, ours: Contender, work: str, clients: int) -> Load:
    return load(ours.listing if work == "GET" else ours.adding, seconds=bench.seconds, connections=clients)


def table(trips: dict[int, float], loads: dict[tuple[int, int, int], dict[str, list[Load]]]) -> str:
    """Return the results as a table of medians, each with its share of what there is without a delay."""
    lines = [
        "| workers | clients | round trip | cached `GET /posts` | | `POST /posts` | |",
        "|---|---|---|---|---|---|---|",
    ]
    for (workers, clients, added), works in loads.items():
        cells = [str(workers), str(clients), f"{trips[added]:.1f} ms"]
        near = loads[workers, clients, 0]
        for work in ("GET", "POST"):
            shares = [far.rate / here.rate for far, here in zip(works[work], near[work], strict=True)]
            cells.append(f"{_median_rate(works[work]):,.0f}/s, {median(each.p50_ms for each in works[work]):.1f} ms")
            cells.append("" if added == 0 else f"{median(shares):.2f} × ({min(shares):.2f} to {max(shares):.2f})")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _median_rate(loads: Sequence[Load]) -> float:
    return median(each.rate for each in loads)


def main() -> None:
    """Measure, and write the guide.

    Raises:
        AssertionError: A request failed.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distance", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="the duration of each load")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: on Debian, install the package wrk.")
    busy = os.getloadavg()[0]
    with Servers() as servers, Bench(servers, rounds=options.rounds, seconds=options.seconds) as bench:
        results = table(*measure(bench))
    guide = _GUIDE.read_text()
    before, _, rest = guide.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    said = (
        f"`python -m benchmarks.distance` wrote this table on {datetime.now(UTC).date()}, on a machine with "
        f"{len(CORES)} cores, which MariaDB, the load and the proxy that delays its answers used too, and where "
        f"{busy:.1f} processes were at work before it began. It has the answers in a second, the typical time of one, "
        "and the share of the rate without a delay: medians of "
        f"{options.rounds} alternating rounds of {options.seconds} s, in brackets the least and the greatest."
    )
    _GUIDE.write_text(f"{before}{_BEGIN}\n{fill(said, 120)}\n\n{results}\n\n{_END}{after}")


if __name__ == "__main__":
    main()
