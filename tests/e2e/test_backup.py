"""Copies of the database, made while the service runs and put back: posts, versions, sessions, all as they were."""

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import ROOT, Client, migrate, run, serving
from tests.mariadb_server import MariaDBServer, mariadb_server
from tests.services import program


def litestar(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return run("litestar", "--app-dir", str(ROOT), *command, cwd=folder)


@contextmanager
def somebody_writing(url: str) -> Iterator[Client]:
    """Let somebody add posts without pause."""
    writer, stop = Client.sign_up(url, "busy@example.com"), threading.Event()
    writer.add("the first")

    def write() -> None:
        while not stop.is_set():
            writer.add("one more 👋")
            time.sleep(0.02)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield writer
    finally:
        stop.set()
        thread.join()


def write_some(url: str) -> tuple[Client, httpx.Response]:
    """Return somebody whose posts were added, edited and deleted, and their list."""
    person = Client.sign_up(url, "ada@example.com")
    first, second, third = (person.add(text) for text in ("plain", "👩‍👩‍👧‍👦 Straße", "gone"))
    assert person.request("PATCH", f"/posts/{second}", json={"text": "日本語 \\ ' \" % ;"}).status_code == 200
    assert person.request("DELETE", f"/posts/{third}").status_code == 204
    assert first
    return person, person.request("GET", "/posts")


def assert_is_as_it_was(url: str, person: Client, known: httpx.Response, writer: Client) -> None:
    person.url = writer.url = url
    found = person.request("GET", "/posts")
    assert (found.json(), found.headers["etag"]) == (known.json(), known.headers["etag"])
    # Whoever was writing meanwhile has a list and a version that belong together.
    written = writer.request("GET", "/posts")
    assert written.headers["etag"] == f'"{len(written.json())}"'
    assert written.json()
    # Sessions go on, and so does everything else.
    refreshed = httpx.post(f"{url}/auth/refresh", json={"refresh_token": person.tokens["refresh_token"]})
    assert refreshed.status_code == 200
    person.tokens = refreshed.json()
    person.add("after")
    assert len(person.list()) == len(known.json()) + 1


def test_a_sqlite_database_is_copied_while_it_is_written_to_and_put_back(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        person, known = write_some(server.url)
        with somebody_writing(server.url) as writer:
            made = litestar(tmp_path, "backup", "copies/monday.db")
        assert made.returncode == 0, made.stderr
        assert [path.name for path in (tmp_path / "copies").iterdir()] == ["monday.db"]
        assert (tmp_path / "copies" / "monday.db").stat().st_mode & 0o077 == 0
        person.add("lost")
        refused = litestar(tmp_path, "restore", "copies/monday.db", "--force")
        assert refused.stderr.startswith("postline: another process serves")
        server.kill()

    put_back = litestar(tmp_path, "restore", "copies/monday.db", "--force")
    assert put_back.returncode == 0, put_back.stderr

    with serving(tmp_path) as server:
        assert_is_as_it_was(server.url, person, known, writer)


@pytest.fixture
def mariadb(tmp_path: Path) -> Iterator[MariaDBServer]:
    with mariadb_server(tmp_path) as server:
        yield server


def test_a_mariadb_database_is_dumped_while_it_is_written_to_and_loaded(tmp_path: Path, mariadb: MariaDBServer) -> None:
    settings = {"DATABASE_URL": mariadb.url().render_as_string(hide_password=False)}
    at = ["--host=127.0.0.1", f"--port={mariadb.port}", "--user=service"]
    migrate(tmp_path, **settings)
    with serving(tmp_path, settings=settings) as server, (tmp_path / "backup.sql").open("wb") as dump:
        person, known = write_some(server.url)
        with somebody_writing(server.url) as writer:
            options = ["--single-transaction", "--hex-blob", "--default-character-set=utf8mb4"]
            subprocess.run([program("mariadb-dump"), *at, *options, "postline"], stdout=dump, check=True, timeout=30)
        person.add("lost")

    mariadb.execute("DROP DATABASE postline", "CREATE DATABASE postline CHARACTER SET utf8mb4")
    with (tmp_path / "backup.sql").open("rb") as dump:
        load = [program("mariadb"), *at, "--default-character-set=utf8mb4", "postline"]
        subprocess.run(load, stdin=dump, check=True, timeout=30)

    with serving(tmp_path, settings=settings) as server:
        assert_is_as_it_was(server.url, person, known, writer)
