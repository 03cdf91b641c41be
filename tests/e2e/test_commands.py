"""The command line, in the checkout, with no setting at all."""

import json
import os
import pty
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from app import __version__
from tests.e2e.server import ROOT, environment, free_port, migrate, run
from tests.services import fresh_mariadb_database, missing


def test_routes_are_listed(tmp_path: Path) -> None:
    listed = run("litestar", "--app-dir", str(ROOT), "routes", cwd=tmp_path)

    assert listed.returncode == 0, listed.stderr
    assert "/posts/{postID:uuid}" in listed.stdout
    assert "/auth/signup" in listed.stdout


def test_no_garbage_is_collected_while_the_modules_load_but_it_is_afterwards(tmp_path: Path) -> None:
    program = """
import gc
before = gc.get_stats()[2]["collections"]
import app.application
print(gc.get_stats()[2]["collections"] - before, gc.isenabled(), gc.get_freeze_count() > 100_000)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )

    assert ended.stdout == "0 True True\n"


def test_the_openapi_document_is_written(tmp_path: Path) -> None:
    written = run("litestar", "--app-dir", str(ROOT), "schema", "openapi", "--output", "out.json", cwd=tmp_path)

    assert written.returncode == 0, written.stderr
    assert "/posts" in json.loads((tmp_path / "out.json").read_text())["paths"]


def test_version_and_info_are_of_this_service(tmp_path: Path) -> None:
    secret = {"DATABASE_URL": "mysql+asyncmy://root:hunter2@127.0.0.1:1/backend"}

    version = run("litestar", "--app-dir", str(ROOT), "version", cwd=tmp_path)
    info = run("litestar", "--app-dir", str(ROOT), "info", cwd=tmp_path, **secret)

    assert version.stdout.startswith(f"Postline {__version__} (Litestar ")
    assert f"Postline     {__version__}" in info.stdout
    assert "/openapi.json" in info.stdout
    assert "/schema" not in info.stdout
    assert "hunter2" not in info.stdout


def test_a_new_migration_is_formatted(tmp_path: Path) -> None:
    if shutil.which("ruff", path=str(Path(sys.executable).parent)) is None:
        missing("ruff", "it comes with the dev group")
    for name in ("app", "events", "migrations", "models"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("alembic.ini", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    ended = run("alembic", "revision", "-m", "a table of 'quoted' words", cwd=tmp_path, PATH=path, PYTHONPATH="")

    assert ended.returncode == 0, ended.stderr
    for command in (["ruff", "format", "--check", "migrations"], ["ruff", "check", "migrations"]):
        checked = run(*command, cwd=tmp_path)
        assert checked.returncode == 0, checked.stdout


def test_a_command_that_takes_long_shows_its_progress_on_a_terminal_only(tmp_path: Path) -> None:
    migrate(tmp_path)
    command = [sys.executable, "-m", "litestar", "--app-dir", str(ROOT), "events", "replay", "webhooks", "--all"]
    terminal, end = pty.openpty()
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=end) as process:
        assert process.stdout is not None
        said = process.stdout.read()
    os.close(end)
    shown = os.read(terminal, 4096)
    os.close(terminal)
    piped = run(*command[2:], cwd=tmp_path)

    assert b"0 users' events" in said
    assert b"\r\x1b[K" in shown
    assert piped.stderr == ""


def test_migrations_run_and_find_nothing_to_do_afterwards(tmp_path: Path) -> None:
    config = str(ROOT / "alembic.ini")
    for command in (["upgrade", "head"], ["check"], ["downgrade", "-1"], ["upgrade", "+1"]):
        ended = run("alembic", "-c", config, *command, cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
    assert "No new upgrade operations detected" in run("alembic", "-c", config, "check", cwd=tmp_path).stdout


def test_migrate_is_alembic_on_the_migrations_of_the_service(tmp_path: Path) -> None:
    def migrate(*arguments: str) -> str:
        ended = run("litestar", "--app-dir", str(ROOT), "migrate", *arguments, cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def applied() -> list[bool]:
        return [migration["applied"] for migration in json.loads(migrate("status", "--json"))]

    nothing = applied()
    assert not any(nothing)
    assert not (tmp_path / "data" / "development.db").exists()

    migrate("up")
    assert all(applied())
    migrate("down", "--yes")
    assert applied() == [True] * (len(nothing) - 1) + [False]
    migrate("up", "+1")
    assert all(applied())


def test_migrate_down_asks_first(tmp_path: Path) -> None:
    migrate(tmp_path)

    asked = run("litestar", "--app-dir", str(ROOT), "migrate", "down", cwd=tmp_path, typed="n\n")

    assert asked.returncode == 1
    assert "is lost. Go on?" in asked.stdout
    assert "  no  " not in run("litestar", "--app-dir", str(ROOT), "migrate", "status", cwd=tmp_path).stdout


def test_a_later_migration_is_shown_as_such(tmp_path: Path) -> None:
    migrate(tmp_path)
    with closing(sqlite3.connect(tmp_path / "data" / "development.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'later'")
        connection.commit()

    shown = run("litestar", "--app-dir", str(ROOT), "migrate", "status", cwd=tmp_path).stdout.splitlines()

    assert shown[-1].split(maxsplit=2) == ["later", "yes", "of a later version of the service"]
    assert all(" yes " in line for line in shown[1:])
    # The version before can be deployed again, and a deployment begins with this.
    nothing_to_do = run("litestar", "--app-dir", str(ROOT), "migrate", "up", cwd=tmp_path)
    assert (nothing_to_do.returncode, nothing_to_do.stdout.count("of a later version")) == (0, 1), nothing_to_do.stderr


def test_migrations_of_unusable_settings_are_one_line(tmp_path: Path) -> None:
    ended = run("alembic", "-c", str(ROOT / "alembic.ini"), "upgrade", "head", cwd=tmp_path, ENVIRONMENT="staging")

    assert ended.returncode != 0
    assert ended.stderr.strip().splitlines()[-1].startswith("postline: ENVIRONMENT:")
    assert "Traceback" not in ended.stderr


def events_status(folder: Path, url: str) -> str:
    """Return what the command says on a database that it can't use."""
    ended = run("litestar", "--app-dir", str(ROOT), "events", "status", cwd=folder, DATABASE_URL=url)
    assert ended.returncode == 1
    [said] = ended.stderr.splitlines()
    assert said.startswith("postline: ")
    return said


def test_a_command_on_a_database_without_migrations_names_them(tmp_path: Path) -> None:
    assert "lacks the migrations 7285804e802e, " in events_status(tmp_path, "sqlite:///none.db")
    assert not (tmp_path / "none.db").exists()

    with fresh_mariadb_database() as url:
        said = events_status(tmp_path, url.render_as_string(hide_password=False))
        assert "lacks the migrations 7285804e802e, " in said
        assert said.endswith("run `postline migrate up` (`alembic upgrade head` in a checkout)")


def test_a_command_on_a_database_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    assert "can't be used" in events_status(tmp_path, f"mysql+asyncmy://root:hunter2@127.0.0.1:{free_port()}/backend")
