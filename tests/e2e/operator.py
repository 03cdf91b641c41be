"""An operator, who runs commands in a second shell beside a started service."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.server import ROOT, environment


class Operator:
    """Runs the commands of one group, in the folder and with the settings of a service."""

    def __init__(self, folder: Path, settings: dict[str, str], group: str = "users", *, app: str | None = None) -> None:
        self._folder = folder
        self._settings = settings
        self._group = group
        self._app = [] if app is None else ["--app", app]

    def run(self, *command: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command to its end, with this standard input."""
        return subprocess.run(
            [sys.executable, "-m", "litestar", "--app-dir", str(ROOT), *self._app, self._group, *command],
            cwd=self._folder,
            env=environment(**self._settings),
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def told(self, *command: str, typed: str = "") -> list[dict[str, Any]]:
        """Return what a command that succeeds answers with `--json`."""
        ended = self.run(*command, "--json", typed=typed)
        assert (ended.returncode, ended.stderr) == (0, "")
        answer: list[dict[str, Any]] = json.loads(ended.stdout)
        return answer
