"""The offline-first client of docs/sync.md as a phone: compiled, and in a process whose connection breaks."""

import json
import random
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.server import ROOT, Client, environment
from tests.proxy import Proxy, proxy_to
from tests.tools import node_modules

PROGRAMS = ROOT / "tests/clients"
# A test that waits longer has failed, and shows what the phone did.
PATIENCE_SECONDS = 90
_COMPILE_SECONDS = 300
_TRACE_LINES = 60


def compiled(url: str, folder: Path) -> Path:
    """Compile the client with the types that are generated from the running service's document."""
    installed = node_modules()
    (folder / "node_modules").symlink_to(installed)
    (folder / "package.json").write_text('{"type": "module"}')
    for name in ("sync.ts", "sync_program.ts"):
        shutil.copy(PROGRAMS / name, folder)
    options = ["--strict", "--noEmitOnError", "--module", "nodenext", "--target", "es2022"]
    commands: list[list[str | Path]] = [
        [installed / ".bin/openapi-typescript", f"{url}/openapi.json", "--output", "postline.d.ts"],
        [installed / ".bin/tsc", *options, "sync_program.ts"],
    ]
    for command in commands:
        ran = subprocess.run(
            command,
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=_COMPILE_SECONDS,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder / "sync_program.js"


class Cuts:
    """Ends connections within what passes: at most so many times, at places that a seed decides."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self.left = 0
        # The service has carried out what these answer.
        self.answers_to_lose: list[bytes] = []

    def __call__(self, data: bytes) -> bytes:
        for status in self.answers_to_lose:
            if data.startswith(b"HTTP/1.1 " + status):
                self.answers_to_lose.remove(status)
                return b""
        if self.left > 0 and self._random.random() < 0.2:
            self.left -= 1
            return data[: self._random.randrange(len(data))]
        return data


class Phone:
    """The client under test, in a process of its own behind a proxy of its own."""

    def __init__(self, process: subprocess.Popen[str], proxy: Proxy, cuts: Cuts, trace: Path) -> None:
        self.cuts = cuts
        self._process = process
        self._proxy = proxy
        self._trace = trace
        # What each deletion would remove, by its key.
        self.deletions = dict[str, str]()

    def tell(self, do: str, **options: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **options}) + "\n")
        self._process.stdin.flush()
        # Each command has one line as its answer, so nothing is buffered here.
        answers, _, _ = select.select([self._process.stdout], [], [], PATIENCE_SECONDS)
        assert answers, f"the phone does not answer to {do} {options} within {PATIENCE_SECONDS} s"
        answer = self._process.stdout.readline()
        assert answer, f"the phone has ended after {do}"
        return json.loads(answer)

    def go_offline(self, *, silently: bool = False) -> None:
        """End connections where something is sent, or let nothing through while they seem to be open."""
        self._proxy.does = "hang" if silently else "refuse"

    def go_online(self) -> None:
        self._proxy.does = "pass"

    def shown(self) -> list[dict[str, Any]]:
        return sorted(self.tell("shown"), key=lambda post: post["text"])

    def trace(self) -> str:
        """Return the newest lines of what it sent and what it was answered."""
        return "\n".join(self._trace.read_text().splitlines()[-_TRACE_LINES:])


@contextmanager
def phone_of(
    person: Client, program: Path, port: int, seed: int, *, policy: str = "both", timeout_ms: int = 10_000
) -> Iterator[Phone]:
    """Start a phone. It is offline until `go_online` is called."""
    trace, cuts = program.parent / f"trace-{seed}", Cuts(seed)
    with proxy_to(port) as proxy, trace.open("w") as stderr:
        proxy.does = "refuse"
        proxy.cut = cuts
        options = [person.tokens["access_token"], policy, str(timeout_ms)]
        with subprocess.Popen(
            ["node", "--expose-gc", program, f"http://127.0.0.1:{proxy.port}", *options],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process:
            try:
                yield Phone(process, proxy, cuts, trace)
            finally:
                process.kill()
