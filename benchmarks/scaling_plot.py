"""The plot of the scaling guide."""

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter

from benchmarks.cluster import Outcome


def plot(outcomes: dict[str, list[Outcome]], path: Path) -> None:
    """Draw throughput, cache hits and the load of the database by the number of nodes."""
    figure, (throughput, hits, load) = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
    colours = dict(zip(outcomes, ("#2a7f62", "#2f5d9b"), strict=True))
    nodes = [outcome.nodes for outcome in next(iter(outcomes.values()))]
    for balance, of_balance in outcomes.items():
        style = {"color": colours[balance], "marker": "o", "label": balance}
        throughput.plot(nodes, [outcome.throughput for outcome in of_balance], **style)
        hits.plot(nodes, [outcome.hit_rate for outcome in of_balance], **style)
        load.plot(nodes, [outcome.database_share for outcome in of_balance], **style | {"label": f"cores, {balance}"})
        disk = style | {"label": f"disk, {balance}", "linestyle": ":", "marker": "s"}
        load.plot(nodes, [outcome.disk_share for outcome in of_balance], **disk)
        if balance == next(iter(outcomes)):
            ideal = [of_balance[0].throughput / nodes[0] * count for count in nodes]
            throughput.plot(nodes, ideal, color="#999999", linestyle="--", label="in proportion")
    percent = FuncFormatter(lambda value, _: f"{value:.0%}")
    for axes, title in ((throughput, "answers a second"), (hits, "cache hits"), (load, "database busy")):
        axes.set_title(title, size=10)
        axes.set_xticks(nodes, [str(count) for count in nodes])
        axes.set_xlabel("nodes", size=9)
        axes.set_ylim(0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    for axes in (hits, load):
        axes.set_ylim(0, 1.05)
        axes.yaxis.set_major_formatter(percent)
    throughput.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    figure.savefig(path, dpi=110)
    plt.close(figure)
