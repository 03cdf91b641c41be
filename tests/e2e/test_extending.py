"""The guide to keeping something new, followed in a copy of the checkout."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.e2e.server import ROOT, environment
from tests.guide import blocks
from tests.services import MARIADB

COPIED = ["app", "controllers", "docs", "events", "migrations", "models", "tests"]


def edit(folder: Path, diff: str) -> None:
    """Make the changes that a diff without line numbers shows, each where its context stands."""
    for change in re.split(r"^--- ", diff, flags=re.MULTILINE)[1:]:
        name, *hunks = change.removesuffix("\n").split("\n@@\n")
        text = (folder / name).read_text()
        for hunk in hunks:
            lines = [(line[:1], line[1:]) for line in hunk.split("\n")]
            before, after = ("".join(f"{line}\n" for sign, line in lines if sign != left_out) for left_out in "+-")
            assert text.count(before) == 1, f"{name} has this {text.count(before)} times:\n{before}"
            text = text.replace(before, after)
        (folder / name).write_text(text)


def follow(folder: Path, commands: str) -> None:
    env = environment(
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        PYTHONPATH="",
        # One command compiles for the next, and pytest loads only the plugin that is needed: both save seconds.
        PYTHONDONTWRITEBYTECODE="",
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
        PYTEST_PLUGINS="pytest_asyncio.plugin",
        # Where these tests find it; the service has a setting of that name too, so it was left out.
        TESTING_DATABASE_URL=MARIADB.render_as_string(hide_password=False),
    )
    # What it covers are copies, which nobody looks for.
    env = {name: value for name, value in env.items() if not name.startswith("COVERAGE")}
    ended = subprocess.run(
        ["bash", "-ec", commands], cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_an_entity_is_added_as_the_guide_says(tmp_path: Path) -> None:
    for name in COPIED:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    for name in ("alembic.ini", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)

    for block in blocks("Keep something new"):
        match block.language:
            case "python":
                (tmp_path / block.path).write_text(block.code.partition("\n")[2])
            case "diff":
                edit(tmp_path, block.code)
            case "sh":
                follow(tmp_path, block.code)
