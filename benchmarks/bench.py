"""What every row needs: folders, databases, and a comparison that is fair on a noisy machine."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Self

import msgspec
from sqlalchemy import URL

from benchmarks.contenders import BIN, ROOT
from tests.services import fresh_mariadb_database


class Comparison(msgspec.Struct):
    """One workload of Postline, measured in alternation with what it is compared to.

    `goal` is the ratio to reach, or the maximum ratio if `is_limit`.
    """

    work: str
    against: str
    goal: float
    ours: list[float]
    theirs: list[float]
    unit: str
    is_limit: bool = False
    remark: str = ""

    @property
    def ratios(self) -> list[float]:
        """The ratio of each round."""
        return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return median(self.ratios)

    @property
    def is_met(self) -> bool:
        """Whether the ratio meets the goal."""
        return self.ratio <= self.goal if self.is_limit else self.ratio >= self.goal


class Bench:
    """Creates the folders, databases and servers of one row, and removes them after it."""

    def __init__(self, *, rounds: int, seconds: int) -> None:
        self.rounds = rounds
        self.seconds = seconds
        self.stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def folder(self) -> Path:
        """Return an empty folder."""
        return Path(self.stack.enter_context(tempfile.TemporaryDirectory()))

    def database(self) -> URL:
        """Return an empty database on MariaDB."""
        return self.stack.enter_context(fresh_mariadb_database())

    def migrated_database(self) -> URL:
        """Return a database on MariaDB with Postline's schema."""
        url = self.database()
        command = [str(BIN / "alembic"), "-c", str(ROOT / "alembic.ini"), "upgrade", "head"]
        settings = {"DATABASE_URL": url.render_as_string(hide_password=False)}
        subprocess.run(command, env=os.environ | settings, check=True, capture_output=True)
        return url

    def alternate(self, works: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
        """Measure each work once as a warm-up, and then all of them in each round: A B, A B, and so on."""
        for work in works.values():
            work()
        measured: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(self.rounds):
            for name, work in works.items():
                measured[name].append(work())
        return measured
