"""Starting the service: from nothing, again, and where it can't."""

import json
import shutil
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import ROOT, STOP_SECONDS, Client, free_port, run, serving


def test_it_starts_from_nothing_and_says_where_it_is(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        for path in ("/ ", "/docs)"):
            server.wait_for_lines(f"{server.url}{path}")
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


def no_database(path: Path) -> None:
    path.write_text("no database" * 1000)


def folder(path: Path) -> None:
    path.mkdir()


def damaged_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    # The table of revisions, and all others.
    content[4096:] = b"x" * (len(content) - 4096)
    path.write_bytes(content)


def damaged_header(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[:100] = b"x" * 100
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def of_another_service(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE users (name)")


@pytest.mark.parametrize("spoil", [no_database, folder, damaged_page, damaged_header, cut_short, of_another_service])
def test_a_file_that_can_not_be_used_is_one_line(
    tmp_path: Path, migrated_sqlite: Path, spoil: Callable[[Path], None]
) -> None:
    path = tmp_path / "postline.db"
    if spoil is not folder:
        shutil.copy(migrated_sqlite, path)
    spoil(path)

    assert_refuses(tmp_path, "can't be used", DATABASE_URL="sqlite:///postline.db")
    migrated = run(
        *("alembic", "-c", str(ROOT / "alembic.ini"), "upgrade", "head"),
        cwd=tmp_path,
        DATABASE_URL="sqlite:///postline.db",
    )
    assert migrated.returncode == 1
    [said] = [line for line in migrated.stderr.splitlines() if "alembic" not in line]
    assert said.startswith("postline: the database")


def migrate_to(path: Path, revision: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))


def test_a_database_of_a_later_version_is_served_as_it_is(tmp_path: Path, migrated_sqlite: Path) -> None:
    path = tmp_path / "postline.db"
    shutil.copy(migrated_sqlite, path)
    migrate_to(path, "later")
    settings = {"DATABASE_URL": "sqlite:///postline.db"}

    with serving(tmp_path, settings=settings) as server:
        Client.sign_up(server.url, "ada@example.com").add("hello")
        ready = httpx.get(f"{server.url}/health/ready").json()
        server.wait_for_lines("of a later version of the service (revision later)")
        output = server.output()
    migrated = run("alembic", "-c", str(ROOT / "alembic.ini"), "upgrade", "head", cwd=tmp_path, **settings)

    assert ready == {"status": "degraded"}
    assert "Traceback" not in output
    [said] = [line for line in migrated.stderr.splitlines() if "alembic" not in line]
    assert (migrated.returncode, said.startswith("postline: the database is of a later version")) == (1, True)


def test_a_database_of_an_earlier_version_is_migrated_and_the_log_says_so(
    tmp_path: Path, migrated_sqlite: Path
) -> None:
    shutil.copy(migrated_sqlite, tmp_path / "postline.db")
    settings = {"DATABASE_URL": "sqlite:///postline.db"}
    earlier = run("alembic", "-c", str(ROOT / "alembic.ini"), "downgrade", "2f8b6a01d9c4", cwd=tmp_path, **settings)
    assert earlier.returncode == 0, earlier.stderr

    with serving(tmp_path, settings=settings) as server:
        begun, done = server.wait_for_lines("from revision", 2)

    assert "migrating the database from revision 2f8b6a01d9c4, which may take a while" in begun
    assert "was migrated from revision 2f8b6a01d9c4 to " in done


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64])
def test_a_generated_secret_that_is_damaged_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "jwt_secret").write_bytes(content)

    assert_refuses(tmp_path, "the secret in data/jwt_secret is")


def test_it_starts_in_a_folder_without_hard_links(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import errno, os\n"
        "def link(*_, **__): raise PermissionError(errno.EPERM, 'Operation not permitted')\n"
        "os.link = link\n"
    )
    with serving(tmp_path, settings={"PYTHONPATH": f"{tmp_path}:{ROOT}"}) as server:
        assert Client.sign_up(server.url, "ada@example.com").list() == []


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
        server.wait_for_lines("unknown")
        server.process.terminate()
        server.process.wait(STOP_SECONDS)
        logged = [json.loads(line) for line in server.output().splitlines()]

    assert logged[0]["event"] == f"Postline: {server.url}/ (the API: {server.url}/docs)"
    assert logged[-1]["event"].startswith("Finished server process")
    assert {"uvicorn.error", "app.telemetry.request_metrics"} <= {line["logger"] for line in logged}
    assert [line["route"] for line in logged if line["event"] == "request"][-2:] == ["/auth/signup", "unknown"]


def test_production_without_a_secret_is_one_line(tmp_path: Path) -> None:
    assert_refuses(tmp_path, "JWT_SECRET", ENVIRONMENT="production")


def test_an_unreachable_database_is_one_line_without_its_password(tmp_path: Path) -> None:
    url = f"mysql+asyncmy://root:hunter2@127.0.0.1:{free_port()}/backend?charset=utf8mb4"

    with pytest.raises(AssertionError, match="hunter2"):
        assert_refuses(tmp_path, "hunter2", DATABASE_URL=url)
    assert_refuses(tmp_path, "can't be used", DATABASE_URL=url)


def test_an_env_file_that_is_not_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"JWT_SECRET=\xff\xfe\n")
    assert_refuses(tmp_path, ".env is not UTF-8")


def test_a_misspelt_name_in_the_env_file_is_named_but_its_value_is_not(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("JWT_SECERT=hunter2\n")

    with serving(tmp_path) as server:
        server.wait_for_lines(".env sets JWT_SECERT, which is no setting: did you mean JWT_SECRET?")
        said = server.output()

    assert said.count("JWT_SECERT") == 1
    assert "hunter2" not in said
