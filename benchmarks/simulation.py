"""Simulates several nodes on one database from measured costs, and writes the result into docs/operations/scaling.md.

A node is one process on one core, with a cache of its own; all share one database server. There is always a request
that waits, so whatever is used up first decides how many are answered. A request costs what it cost one node with 32
clients (benchmarks/costs.json), however many nodes there are. The network and the balancer cost nothing, and no request
waits for a lock. With other assumptions than the defaults, or other nodes, the result is only printed.
"""

import argparse
import re
from collections.abc import Iterable
from dataclasses import fields

from benchmarks.bench import Bench, Servers
from benchmarks.cluster import Assumptions, Outcome, simulate
from benchmarks.contenders import ROOT
from benchmarks.costs import Costs, measure_costs, read_costs, write_costs
from benchmarks.scaling_page import GUIDE, generated, table
from benchmarks.scaling_plot import plot

PLOT = ROOT / "docs/operations/scaling.png"
NODES = (1, 4, 16)
BALANCES = {"any node": False, "the user's node": True}
"""Where a balancer sends a request, by whether all of a user go to the same node."""

_GENERATED = re.compile(
    r"(?<=<!-- written by benchmarks\.simulation -->\n).*(?=<!-- end of what it wrote -->)", re.DOTALL
)


def main() -> None:
    """Simulate and print the result. It goes into the guide if nothing else than the default was assumed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for assumption in fields(Assumptions):
        parser.add_argument(
            f"--{assumption.name.replace('_', '-')}",
            type=type(assumption.default),
            default=assumption.default,
            help=f"{assumption.metadata['help']} (%(default)s)",
        )
    parser.add_argument("--nodes", type=int, nargs="+", default=list(NODES), help="numbers of nodes (1 4 16)")
    parser.add_argument("--measure", action="store_true", help="measure the costs first, which needs wrk and MariaDB")
    options = parser.parse_args()
    if options.measure:
        with Servers() as servers, Bench(servers, rounds=5, seconds=2) as bench:
            write_costs(measure_costs(bench))
    assumptions = Assumptions(**{each.name: getattr(options, each.name) for each in fields(Assumptions)})
    costs = read_costs()
    outcomes = run(assumptions, costs, options.nodes)
    print(table(outcomes))
    if assumptions == Assumptions() and tuple(options.nodes) == NODES:
        write_guide(costs, outcomes)


def run(assumptions: Assumptions, costs: Costs, nodes: Iterable[int]) -> dict[str, list[Outcome]]:
    """Return what each number of nodes did, for each way to balance."""
    return {
        balance: [simulate(assumptions, costs, count, is_sticky=is_sticky) for count in nodes]
        for balance, is_sticky in BALANCES.items()
    }


def write_guide(costs: Costs, outcomes: dict[str, list[Outcome]]) -> None:
    """Write what was measured and simulated into the guide, and the plot beside it."""
    guide = GUIDE.read_text()
    GUIDE.write_text(_GENERATED.sub(lambda _: f"\n{generated(costs, outcomes)}\n", guide, count=1))
    plot(outcomes, PLOT)


if __name__ == "__main__":
    main()
