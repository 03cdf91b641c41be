"""Load from wrk, with what it counted."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import msgspec

# Ends what wrk prints with its counts as JSON. Its times are microseconds.
_PRINT_COUNTS = """
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('\\n{"requests": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "failures": %d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


class Target(msgspec.Struct, frozen=True):
    """The request that is repeated."""

    url: str
    headers: dict[str, str] = {}
    method: str = "GET"
    body: str = ""

    @property
    def script(self) -> str:
        """This request in Lua, whose strings are written as JSON's are."""
        lines = [f"wrk.method = {json.dumps(self.method)}", f"wrk.body = {json.dumps(self.body)}"]
        lines += [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in self.headers.items()]
        return "\n".join(lines) + _PRINT_COUNTS


class Load(msgspec.Struct, frozen=True):
    """What came of one load."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    failures: int

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds

    def checked(self) -> Self:
        """Return this load.

        Raises:
            AssertionError: A request failed or was answered with an error.
        """
        if self.failures or not self.requests:
            raise AssertionError(f"{self.failures} of {self.requests} requests failed")
        return self


def load(target: Target, *, seconds: int, connections: int) -> Load:
    """Repeat a request over so many connections, each sending the next one when it has its answer.

    Raises:
        AssertionError: A request failed or was answered with an error.
    """
    with loading(target, seconds=seconds, connections=connections) as process:
        printed, _ = process.communicate(timeout=seconds + 60)
    return msgspec.json.decode(printed.rpartition("\n")[2], type=Load).checked()


@contextmanager
def loading(target: Target, *, seconds: int, connections: int) -> Iterator[subprocess.Popen[str]]:
    """Load while the block runs, and for so many seconds at most."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "load.lua"
        script.write_text(target.script)
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script), target.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()
