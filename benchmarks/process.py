"""Runs a contender in its own process."""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from app.settings import Settings

_START_SECONDS = 60
_STOP_SECONDS = 20

_POLL_SECONDS = 0.01

# A contender runs on the first cores, and the load comes from the others.
CORES = sorted(os.sched_getaffinity(0))


def load_cores(contender_cores: int = 1) -> list[int]:
    """Return the cores that are left beside a contender, or all of them if none is."""
    return CORES[contender_cores:] or CORES


def stay_beside(contender_cores: int = 1) -> None:
    """Keep this process, and the load that it starts from now on, off a contender's cores if any are left."""
    os.sched_setaffinity(0, load_cores(contender_cores))


@contextmanager
def started(
    command: Sequence[str], folder: Path, url: str, *, settings: Mapping[str, str] | None = None, cores: int = 1
) -> Iterator[int]:
    """Start a server in `folder` on so many cores, and yield its process id when `url` answers.

    Raises:
        RuntimeError: The server ended, or did not answer in time.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        # What an earlier start compiled is kept, as it is for a service that is installed.
        if name.lower() not in Settings.model_fields and name != "PYTHONDONTWRITEBYTECODE"
    }
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment | dict(settings or {}), stdout=output, stderr=subprocess.STDOUT
        )
        os.sched_setaffinity(process.pid, CORES[:cores])
        try:
            _wait_for(url, process, log)
            yield process.pid
        finally:
            process.terminate()
            process.wait(_STOP_SECONDS)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(url)
        except httpx.TransportError:
            time.sleep(_POLL_SECONDS)
        else:
            return
    raise RuntimeError(f"no answer from {url}:\n{log.read_text()}")
