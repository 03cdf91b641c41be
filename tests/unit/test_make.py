"""The Makefile, without what it would install."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.services import program

ROOT = Path(__file__).resolve().parents[2]


def make(folder: Path, *targets: str, path: str = os.environ["PATH"]) -> str:
    env = {"PATH": path, "HOME": str(folder)}
    ended = subprocess.run(
        [program("make"), *targets], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("targets", [[], ["help"]])
def test_it_lists_its_targets(targets: list[str]) -> None:
    listed = make(ROOT, *targets).splitlines()

    assert {line.split()[1] for line in listed} >= {"help", "run", "test", "check", "format", "contract", "clean"}
    assert all(len(line.split()) > 3 for line in listed)


def test_an_environment_that_uv_made_needs_no_pip(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/uv.txt").touch()
    # A Python that has neither pip nor ensurepip, as Debian's, and the uv that made the environment.
    script(tmp_path / ".venv/bin/python", "exit 1")
    script(tmp_path / "tools/uv", f'echo "uv $*"; touch {tmp_path}/.venv/bin/uv')

    said = make(tmp_path, ".venv/bin/uv", path=f"{tmp_path / 'tools'}{os.pathsep}{os.environ['PATH']}")

    assert said == "uv pip install --quiet --python .venv/bin/python --require-hashes -r requirements/uv.txt\n"


def test_run_leaves_the_env_file_to_the_service(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    script(tmp_path / ".venv/bin/litestar", 'echo "$PYTHON_DOTENV_DISABLED $*"')

    said = make(tmp_path, "--assume-old=.venv/.set-up-app", "run", "PORT=8123")

    assert said == "1 run --port 8123\n"


def script(path: Path, command: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)
