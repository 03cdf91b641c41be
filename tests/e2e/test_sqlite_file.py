"""The SQLite file of a running service, by another name."""

import shutil
from pathlib import Path

import httpx

from tests.e2e.server import ROOT, Client, free_port, run, serving


def test_no_other_process_gets_at_the_file_through_a_link(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    database, link, backup = first / "postline.db", second / "postline.db", tmp_path / "copy.db"
    link.symlink_to(database)

    with serving(first, settings={"DATABASE_URL": f"sqlite:///{database}"}) as server:
        ada = Client.sign_up(server.url, "ada@example.com")
        shutil.copy(database, backup)
        for command in (
            ("litestar", "--app-dir", str(ROOT), "run", "--port", str(free_port())),
            ("uvicorn", "app.application:create_app", "--factory", "--port", str(free_port())),
            ("litestar", "--app-dir", str(ROOT), "restore", str(backup), "--force"),
            ("alembic", "-c", str(ROOT / "alembic.ini"), "downgrade", "-1"),
        ):
            ended = run(*command, cwd=second, DATABASE_URL=f"sqlite:///{link}")
            assert ended.returncode != 0, command
            assert "Traceback" not in ended.stderr, ended.stderr
            [said] = [line for line in ended.stderr.splitlines() if "postline: " in line]
            assert "another process serves" in said

        ada.add("still served")
        assert httpx.get(f"{server.url}/health/ready").status_code == 200
