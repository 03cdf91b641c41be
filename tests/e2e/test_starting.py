"""Starting the service: from nothing, again, and where it can't."""

import json
import socket
import time
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import Client, free_port, run, serving


def test_it_starts_from_nothing_and_says_where_it_is(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        for path in ("/ ", "/docs)"):
            assert f"{server.url}{path}" in server.output()
        for path in ("/", "/docs"):
            assert httpx.get(f"{server.url}{path}").status_code == 200
        assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_what_it_stores_only_its_own_user_can_read(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        Client.sign_up(server.url, "ada@example.com")
        data = tmp_path / "data"
        modes = {path.name: path.stat().st_mode & 0o777 for path in (data, *data.iterdir())}

    assert modes.pop("data") == 0o700
    assert {name: modes[name] for name in ("development.db", "development.db-wal", "development.db-shm")} == {
        "development.db": 0o600,
        "development.db-wal": 0o600,
        "development.db-shm": 0o600,
    }


def test_starting_again_keeps_users_posts_and_tokens(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        ada = Client.sign_up(server.url, "ada@example.com")
        post_id = ada.add("hello")

    with serving(tmp_path) as server:
        again = Client(server.url, ada.email, ada.tokens)
        assert [post["postID"] for post in again.list()] == [post_id]
        form = {"email": "ada@example.com", "password": "correct horse battery"}
        assert httpx.post(f"{server.url}/auth/login", json=form).status_code == 200


def assert_refuses(tmp_path: Path, reason: str, *options: str, **settings: str) -> None:
    if "--port" not in options:
        options = (*options, "--port", str(free_port()))
    root = str(Path(__file__).resolve().parents[2])
    ended = run("litestar", "--app-dir", root, "run", *options, cwd=tmp_path, **settings)

    assert ended.returncode != 0
    said = [line for line in (ended.stdout + ended.stderr).splitlines() if "alembic" not in line]
    assert len(said) == 1, said
    assert said[0].startswith("postline: ")
    assert reason in said[0]


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_refuses(tmp_path, f"can't listen on 127.0.0.1:{port}", "--port", str(port))


def test_a_second_process_on_the_same_sqlite_file_is_one_line(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert_refuses(tmp_path, "set DATABASE_URL to a MySQL or MariaDB database")
        assert httpx.get(f"{server.url}/health/ready").status_code == 200


def test_several_workers_on_sqlite_are_one_line(tmp_path: Path) -> None:
    assert_refuses(tmp_path, "SQLite serves one process only", "--web-concurrency", "2")


def test_an_unusable_data_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file, no folder")
    assert_refuses(tmp_path, "the data folder occupied can't be used", DATA_DIR="occupied")
    assert_refuses(tmp_path, "the data folder occupied can't be used", DATA_DIR="occupied", JWT_SECRET="x" * 32)


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database" * 1000)
    assert_refuses(tmp_path, "can't be used", DATABASE_URL="sqlite:///notes.txt")


@pytest.mark.parametrize(
    ("name", "value"), [("ENVIRONMENT", "staging"), ("DATABASE_URL", "oracle://x/y"), ("CACHE_SECONDS", "forever")]
)
def test_an_unknown_setting_value_is_one_line(tmp_path: Path, name: str, value: str) -> None:
    assert_refuses(tmp_path, name, **{name: value})


def test_in_production_every_line_of_the_log_is_json(tmp_path: Path) -> None:
    settings = {"ENVIRONMENT": "production", "JWT_SECRET": "0123456789abcdefghijklmnopqrstuvwxyz"}
    with serving(tmp_path, settings=settings) as server:
        Client.sign_up(server.url, "ada@example.com")
        httpx.get(f"{server.url}/nope?secret")
        # A line is written when its answer has been sent.
        deadline = time.monotonic() + 5
        while "unknown" not in server.output() and time.monotonic() < deadline:
            time.sleep(0.01)
        said = server.output().splitlines()

    logged = [json.loads(line) for line in said if not line.startswith("Postline: ")]
    assert len(logged) == len(said) - 1
    assert {"uvicorn.error", "app.telemetry.request_metrics"} <= {line["logger"] for line in logged}
    assert [line["route"] for line in logged if line["event"] == "request"][-2:] == ["/auth/signup", "unknown"]


def test_production_without_a_secret_is_one_line(tmp_path: Path) -> None:
    assert_refuses(tmp_path, "JWT_SECRET", ENVIRONMENT="production")


def test_an_unreachable_database_is_one_line_without_its_password(tmp_path: Path) -> None:
    url = f"mysql+asyncmy://root:hunter2@127.0.0.1:{free_port()}/backend?charset=utf8mb4"

    with pytest.raises(AssertionError, match="hunter2"):
        assert_refuses(tmp_path, "hunter2", DATABASE_URL=url)
    assert_refuses(tmp_path, "can't be used", DATABASE_URL=url)
