"""Measures every row and writes docs/benchmarks.md and docs/operations/scaling.md, or measures one row."""

import argparse
import shutil
import sys
import time

import pytest

from benchmarks.bench import Bench, Comparison, Servers
from benchmarks.breakdown import breakdown
from benchmarks.cluster import Assumptions
from benchmarks.costs import measure_costs, write_costs
from benchmarks.report import describe, write
from benchmarks.rows import ROWS
from benchmarks.simulation import NODES, run, write_guide


def main() -> None:
    """Run the benchmark.

    Raises:
        AssertionError: An answer was wrong.
    """
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", choices=ROWS, help="measure this row only, and write nothing")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="the duration of each load")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: on Debian, install the package wrk.")
    started_at = time.monotonic()
    comparisons: list[Comparison] = []
    with Servers() as servers:
        for name in [options.only] if options.only else ROWS:
            print(f"{name} …", flush=True)
            try:
                with Bench(servers, rounds=options.rounds, seconds=options.seconds) as bench:
                    measured = ROWS[name](bench)
            except pytest.skip.Exception as missing:
                print(f"  not measured: {missing}")
                continue
            comparisons += measured
            for comparison in measured:
                print(f"  {describe(comparison)}", flush=True)
        if options.only is None:
            with Bench(servers, rounds=1, seconds=1) as bench:
                shares = breakdown(bench.migrated_database, bench.folder())
            with Bench(servers, rounds=options.rounds, seconds=options.seconds) as bench:
                costs = measure_costs(bench)
            write_costs(costs)
            write_guide(costs, run(Assumptions(), costs, NODES))
            write(comparisons, shares, servers.mysql, options, time.monotonic() - started_at)


if __name__ == "__main__":
    main()
