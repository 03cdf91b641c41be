"""Processor time: what bounds a work, and what a request costs."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeVar

from benchmarks.process import CORES

ResultT = TypeVar("ResultT")

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """The share of one core that a process and its children used, and the share of all cores' time that was used."""

    process: float
    machine: float


def watched(process: int, work: Callable[[], ResultT], usages: list[Usage]) -> Callable[[], ResultT]:
    """Return the work, which also appends to `usages` how busy the process and the machine were meanwhile."""

    def run() -> ResultT:
        seconds, (total, idle) = processor_seconds(process), _machine_ticks()
        result = work()
        now_total, now_idle = _machine_ticks()
        ticks = now_total - total
        core_seconds = ticks / _TICKS_PER_SECOND / (os.cpu_count() or 1)
        usages.append(
            Usage((processor_seconds(process) - seconds) / core_seconds, 1 - (now_idle - idle) / ticks),
        )
        return result

    return run


def bounds(usages: Sequence[Usage]) -> str:
    """Return in words how busy the process and the machine were."""
    process, machine = (median(shares) for shares in zip(*usages, strict=True))
    return (
        f"Postline used {process:.0%} of one core, and the machine's {len(CORES)} cores were {machine:.0%} busy, "
        "with the load and the database."
    )


def processor_seconds(process: int) -> float:
    """Return the processor time that a process and its children have used, in seconds."""
    children = [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    # The name, which may have spaces, is in brackets.
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND
    return own + sum(map(processor_seconds, children))


def _machine_ticks() -> tuple[int, int]:
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(fields), fields[3] + fields[4]
