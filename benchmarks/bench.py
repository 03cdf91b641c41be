"""What every row needs: folders, databases, and a comparison that is fair on a noisy machine."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Self

import msgspec
from sqlalchemy import URL, make_url

from benchmarks.contenders import BIN, ROOT
from benchmarks.process import CORES, stay_beside
from tests import mysql_server
from tests.services import MARIADB, fresh_mariadb_database


class Comparison(msgspec.Struct):
    """One workload of Postline, measured in alternation with what it is compared to.

    `goal` is the ratio to reach, or the maximum ratio if `is_limit`. Without one, the ratio is for information.
    """

    work: str
    against: str
    goal: float | None
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
        """Whether the ratio meets the goal, if there is one."""
        if self.goal is None:
            return True
        return self.ratio <= self.goal if self.is_limit else self.ratio >= self.goal


class Servers:
    """The database servers that rows share. MySQL is started when the first row asks for it."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @cached_property
    def mysql(self) -> URL | None:
        """The address of a real MySQL, or `None` if none is installed."""
        tree = mysql_server.installed()
        if tree is None:
            return None
        # A server keeps the cores of the process that starts it, and MariaDB has all of them.
        os.sched_setaffinity(0, CORES)
        url = make_url(self._stack.enter_context(mysql_server.running(tree)))
        stay_beside()
        return url


class Bench:
    """Creates the folders, databases and servers of one row, and removes them after it."""

    def __init__(self, servers: Servers, *, rounds: int, seconds: int) -> None:
        self.servers = servers
        self.rounds = rounds
        self.seconds = seconds
        self.stack = ExitStack()

    def __enter__(self) -> Self:
        stay_beside()
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def folder(self) -> Path:
        """Return an empty folder."""
        return Path(self.stack.enter_context(tempfile.TemporaryDirectory()))

    def database(self, server: URL = MARIADB) -> URL:
        """Return an empty database."""
        return self.stack.enter_context(fresh_mariadb_database(server))

    def database_servers(self) -> Iterator[tuple[str, URL]]:
        """Yield the name and address of each database server that there is: MariaDB, and a real MySQL."""
        yield "MariaDB", MARIADB
        if self.servers.mysql is not None:
            yield "MySQL", self.servers.mysql

    def migrated_database(self, server: URL = MARIADB) -> URL:
        """Return a database with Postline's schema."""
        url = self.database(server)
        migrate(url)
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


def migrate(database: URL) -> None:
    """Give a database Postline's schema."""
    command = [str(BIN / "alembic"), "-c", str(ROOT / "alembic.ini"), "upgrade", "head"]
    settings = {"DATABASE_URL": database.render_as_string(hide_password=False)}
    subprocess.run(command, env=os.environ | settings, check=True, capture_output=True)
