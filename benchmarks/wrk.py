"""Runs wrk, and reads its results."""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import msgspec

# Sends the requests in turn, and prints the results as JSON after wrk's own output. wrk's times are in microseconds.
_SCRIPT = """
local requests, last = {}, 0
function init(args)
%s
end
function request()
  last = last %% #requests + 1
  return requests[last]
end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('\\n{"requests": %%d, "seconds": %%f, "p50_ms": %%f, "p99_ms": %%f, "failures": %%d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


class Target(msgspec.Struct, frozen=True):
    """A request."""

    url: str
    headers: dict[str, str] = {}
    method: str = "GET"
    body: str = ""


class Load(msgspec.Struct, frozen=True):
    """The results of one load."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    failures: int

    @property
    def rate(self) -> float:
        """The number of answers a second."""
        return self.requests / self.seconds

    def checked(self) -> Self:
        """Return this load.

        Raises:
            AssertionError: A request failed or was answered with an error.
        """
        if self.failures or not self.requests:
            raise AssertionError(f"{self.failures} of {self.requests} requests failed")
        return self


def load(targets: Sequence[Target], *, seconds: int, connections: int) -> Load:
    """Send the requests in turn to one server. Each connection sends the next one when it has its answer.

    Raises:
        AssertionError: A request failed or was answered with an error.
    """
    with loading(targets, seconds=seconds, connections=connections) as process:
        printed, _ = process.communicate(timeout=seconds + 60)
    return msgspec.json.decode(printed.rpartition("\n")[2], type=Load).checked()


@contextmanager
def loading(targets: Sequence[Target], *, seconds: int, connections: int) -> Iterator[subprocess.Popen[str]]:
    """Send load while the block runs, for at most so many seconds."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "load.lua"
        script.write_text(_SCRIPT % "\n".join(f"requests[{n}] = {_lua(target)}" for n, target in enumerate(targets, 1)))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script)]
        with subprocess.Popen([*command, targets[0].url], stdout=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()


def _lua(target: Target) -> str:
    # JSON strings are also Lua strings, as long as they are plain ASCII.
    parts = urlsplit(target.url)
    headers = ", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in target.headers.items())
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return f"wrk.format({json.dumps(target.method)}, {json.dumps(path)}, {{{headers}}}, {json.dumps(target.body)})"
