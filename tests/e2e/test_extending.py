"""The guide to keeping something new, followed in a copy of the checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.server import ROOT, environment
from tests.guide import blocks
from tests.services import MARIADB, missing

COPIED = ["app", "benchmarks", "controllers", "docs", "events", "migrations", "models", "tests"]
MAX_FILES, MAX_EDITS = 10, 4


def run(folder: Path, *command: str, text: str | None = None) -> None:
    env = environment(
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        PYTHONPATH="",
        # One command compiles for the next, and pytest loads only the plugin that is needed: both save seconds.
        PYTHONDONTWRITEBYTECODE="",
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
        PYTEST_PLUGINS="pytest_asyncio.plugin",
        # These tests find it here; the service has a setting of that name too, so it was left out.
        TESTING_DATABASE_URL=MARIADB.render_as_string(hide_password=False),
    )
    # Coverage of the copies is of no use.
    env = {name: value for name, value in env.items() if not name.startswith("COVERAGE")}
    ended = subprocess.run(
        command, cwd=folder, env=env, input=text, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def files_in(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.suffix in {".py", ".json", ".toml", ".ini"} and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    for name in ("alembic.ini", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def test_an_entity_is_added_as_the_guide_says(checkout: Path) -> None:
    if shutil.which("git") is None:
        missing("git", "the guide's diffs are applied with it")
    before = files_in(checkout)

    for block in blocks("Keep something new"):
        match block.language:
            case "python":
                (checkout / block.path).write_text(block.code.partition("\n")[2])
            case "diff":
                run(checkout, "git", "apply", "-", text=block.code)
            case "sh":
                run(checkout, "bash", "-ec", block.code)
    run(checkout, "litestar", "schema", "openapi", "--output", "docs/openapi.json")

    after = files_in(checkout)
    changed = {name for name in after if after[name] != before.get(name)}
    edited = {name for name in changed & before.keys() if name.endswith(".py")}
    assert len(changed) <= MAX_FILES, changed
    assert len(edited) <= MAX_EDITS, edited


def test_the_linters_accept_the_result(checkout: Path) -> None:
    if shutil.which("mypy", path=str(Path(sys.executable).parent)) is None:
        missing("mypy", "it comes with the dev group: make check installs it")
    run(checkout, "ruff", "format", "--check", ".")
    run(checkout, "ruff", "check", ".")
    run(checkout, "mypy")
    run(checkout, "lint-imports", "--no-cache")


def test_the_other_tests_of_the_document_and_of_tokens_accept_it_too(checkout: Path) -> None:
    new = "sqlite and (openapi or drafts)"
    run(checkout, "pytest", "-q", "tests/api/test_openapi.py", "tests/api/test_tokens.py", "-k", new)
