"""The command line, in the checkout, with no setting at all."""

import json
from pathlib import Path

from tests.e2e.server import ROOT, run


def test_routes_are_listed(tmp_path: Path) -> None:
    listed = run("litestar", "--app-dir", str(ROOT), "routes", cwd=tmp_path)

    assert listed.returncode == 0, listed.stderr
    assert "/posts/{postID:uuid}" in listed.stdout
    assert "/auth/signup" in listed.stdout


def test_the_openapi_document_is_written(tmp_path: Path) -> None:
    written = run("litestar", "--app-dir", str(ROOT), "schema", "openapi", "--output", "out.json", cwd=tmp_path)

    assert written.returncode == 0, written.stderr
    assert "/posts" in json.loads((tmp_path / "out.json").read_text())["paths"]


def test_migrations_run_and_find_nothing_to_do_afterwards(tmp_path: Path) -> None:
    config = str(ROOT / "alembic.ini")
    for command in (["upgrade", "head"], ["check"], ["downgrade", "-1"], ["upgrade", "+1"]):
        ended = run("alembic", "-c", config, *command, cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
    assert "No new upgrade operations detected" in run("alembic", "-c", config, "check", cwd=tmp_path).stdout


def test_migrations_of_unusable_settings_are_one_line(tmp_path: Path) -> None:
    ended = run("alembic", "-c", str(ROOT / "alembic.ini"), "upgrade", "head", cwd=tmp_path, ENVIRONMENT="staging")

    assert ended.returncode != 0
    assert ended.stderr.strip().splitlines()[-1].startswith("postline: ENVIRONMENT:")
    assert "Traceback" not in ended.stderr
