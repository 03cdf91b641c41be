"""README, taken at its word."""

import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.e2e.server import ROOT, serving
from tests.services import missing


def first_post() -> list[str]:
    readme = (ROOT / "README.md").read_text()
    (block,) = re.findall(r"## The first post\n\n```sh\n(.+?)```", readme, re.DOTALL)
    lines: list[str] = block.strip().splitlines()
    return lines


def test_the_first_post_takes_four_lines_that_work_as_written(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        missing("curl", "README uses it")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 8000)) == 0:
            pytest.skip("needs port 8000, where README says the service is")
    lines = first_post()
    assert len(lines) == 4

    with serving(tmp_path, port=8000):
        script = "\necho; echo ----\n".join(["set -e", *lines])
        ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True)
        again = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)

    _, _, added, listed, deleted = ran.stdout.split("----\n")
    assert "201 Created" in added
    assert '"postID":"' in added
    assert "200 OK" in listed
    assert 'etag: "1"' in listed
    assert "Hello, timeline! 👋" in listed
    assert "204 No Content" in deleted
    assert all(answer.endswith("\n") for answer in (added, listed, deleted))
    assert again.returncode != 0
    assert "If the address is taken, log in: /auth/login" in again.stderr
    assert "401" not in again.stdout
