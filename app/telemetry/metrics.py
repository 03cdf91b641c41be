"""Metrics in Prometheus' text format, for one process or for several workers."""

import errno
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from typing_extensions import override

import app.telemetry.metrics_files  # noqa: F401 - reserves their disk space
from app.errors import NotReady
from app.periodic import PeriodicTask

logger = logging.getLogger(__name__)

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_SAMPLE_SECONDS = 2
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

# Without this, each counter would have a second series, for its creation time.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Measure(NamedTuple):
    """A number that another part of the service keeps, read when metrics are scraped.

    If its name ends with `_total`, it only ever grows. With several workers it is the sum, or, with `is_highest`, the
    maximum.
    """

    name: str
    documentation: str
    read: Callable[[], float]
    labels: dict[str, str] = {}  # noqa: RUF012 - never changed
    is_highest: bool = False


class Metrics(PeriodicTask):
    """The metrics of this process, or of all workers.

    If `PROMETHEUS_MULTIPROC_DIR` names a folder, which must be empty when the service starts, each worker keeps its
    numbers in files there, and any worker answers for all. Requests are counted at once; other measurements of other
    workers are up to two seconds old. `read_others` returns metrics that no process knows by itself.

    If the folder can't be used, the service serves without metrics, and says so once in the log.
    """

    def __init__(self, measures: Iterable[Measure], read_others: Callable[[], Awaitable[Iterable[Metric]]]) -> None:
        super().__init__("sharing metrics with the other workers", _SAMPLE_SECONDS)
        directory = os.environ.get(DIRECTORY_VARIABLE)
        self._directory = None if directory is None else Path(directory)
        self._has_failed = False
        self._registry = CollectorRegistry()
        self._by_request: dict[tuple[str, str, int], Histogram] = {}
        self._read_others = read_others
        self._samples: list[Callable[[], None]] = []
        self._requests = Histogram(
            "postline_http_request_duration_seconds",
            "Requests that have been answered, and how long that took.",
            ["method", "route", "status"],
            registry=self._registry,
            buckets=_BUCKETS,
        )
        try:
            if self._directory is not None:
                self._directory.mkdir(parents=True, exist_ok=True)
            self._samples = _samples(measures, self._registry)
        except OSError as error:
            self._report(error)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request. Method, route and status are labels, so each must have few values."""
        key = (method, route, status)
        durations = self._by_request.get(key)
        if durations is None:
            try:
                durations = self._by_request[key] = self._requests.labels(*key)
            except OSError as error:
                self._report(error)
                return
        durations.observe(seconds)

    async def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format.

        Raises:
            NotReady: Several workers share their metrics, and the folder for it can't be used.
        """
        others = await self._read_others()
        self._sample()
        if self._directory is None:
            counted, processes = self._registry.collect(), [os.getpid()]
        else:
            processes, counted = self._of_all_workers(self._directory)
        return generate_latest(_Collected([*counted, *_of_processes(processes), *others]))

    def _of_all_workers(self, directory: Path) -> tuple[list[int], Iterable[Metric]]:
        try:
            processes = _living(directory)
            if os.getpid() not in processes:
                # What is left is not what was counted.
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            collector = MultiProcessCollector(None, str(directory))  # type: ignore[no-untyped-call]
            return processes, list(collector.collect())  # type: ignore[no-untyped-call]
        except (OSError, ValueError) as error:
            self._report(error)
            raise NotReady("The folder in which the workers share their metrics can't be used.") from None

    def _report(self, error: OSError | ValueError) -> None:
        """Log the first failure of the folder. Others follow from it."""
        if not self._has_failed:
            self._has_failed = True
            why = error.strerror if isinstance(error, OSError) else type(error).__name__
            logger.warning("the metrics folder can't be used, so metrics are missing: %s", why)

    @override
    async def tick(self) -> None:
        """Let the other processes know this one's numbers."""
        self._sample()

    @override
    async def run(self) -> None:
        await super().run()
        self._sample()

    def _sample(self) -> None:
        for sample in self._samples:
            sample()


class _Collected(Collector):
    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _samples(measures: Iterable[Measure], registry: CollectorRegistry) -> list[Callable[[], None]]:
    known: dict[str, Counter | Gauge] = {}
    samples: list[Callable[[], None]] = []
    for measure in measures:
        metric = known.get(measure.name) or _metric_of(measure, registry)
        known[measure.name] = metric
        child = metric.labels(**measure.labels) if measure.labels else metric
        samples.append(_set(child, measure.read) if isinstance(child, Gauge) else _follow(child, measure.read))
    return samples


def _metric_of(measure: Measure, registry: CollectorRegistry) -> Counter | Gauge:
    if measure.name.endswith("_total"):
        return Counter(measure.name, measure.documentation, measure.labels, registry=registry)
    return Gauge(
        measure.name,
        measure.documentation,
        measure.labels,
        registry=registry,
        multiprocess_mode="livemax" if measure.is_highest else "livesum",
    )


def _set(gauge: Gauge, read: Callable[[], float]) -> Callable[[], None]:
    return lambda: gauge.set(read())


def _follow(counter: Counter, read: Callable[[], float]) -> Callable[[], None]:
    known = 0.0

    def sample() -> None:
        nonlocal known
        current = read()
        counter.inc(current - known)
        known = current

    return sample


def _living(directory: Path) -> list[int]:
    """Return the living workers, and drop the gauges of those that ended. Their counters remain."""
    found = {int(path.stem.rpartition("_")[2]) for path in directory.glob("gauge_live*.db")}
    living = {process for process in found if _lives(process)}
    for process in found - living:
        mark_process_dead(process, str(directory))  # type: ignore[no-untyped-call]
    return sorted(living)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return True


def _of_processes(processes: Iterable[int]) -> Iterable[Metric]:
    """Return the process metrics of each worker, from the operating system."""
    families: dict[str, Metric] = {}
    for process in processes:
        for metric in ProcessCollector(pid=lambda pid=process: pid, registry=None).collect():  # type: ignore[misc]
            family = families.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
            for sample in metric.samples:
                family.add_sample(sample.name, {"pid": str(process)}, sample.value)
    return families.values()
