"""A service whose database is in its memory: it writes nothing to disk, and keeps nothing when it stops."""

import json
import os
import stat
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.e2e.raw_http import bearer, connect, head
from tests.e2e.server import (
    ROOT,
    START_SECONDS,
    Client,
    Server,
    free_port,
    run,
    running,
    serving,
    wait_until_served,
)

IN_MEMORY = {"DATABASE_URL": "sqlite:///:memory:"}
PASSWORD = "correct horse battery"
TEXT_BYTES = 1_000_000
POSTS = 100


@contextmanager
def serving_in_memory(folder: Path, **settings: str) -> Iterator[Server]:
    """Start the service, with a folder for temporary files below its own."""
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    with serving(folder, settings=IN_MEMORY | {"TMPDIR": str(temporary)} | settings) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving_in_memory(tmp_path) as server:
        yield server


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if not path.is_dir()]


def files_written_by(server: Server) -> list[str]:
    """Return the files that the process has open for writing, with a name or without, but for its output (Linux)."""
    process = Path(f"/proc/{server.process.pid}")
    return [
        str(descriptor.readlink())
        for descriptor in (process / "fd").iterdir()
        if int(descriptor.name) > 2
        and stat.S_ISREG(descriptor.stat().st_mode)
        and int((process / "fdinfo" / descriptor.name).read_text().split()[3], 8) & os.O_ACCMODE != os.O_RDONLY
    ]


def test_all_is_gone_when_it_stops_and_the_log_says_so_before(tmp_path: Path) -> None:
    with serving_in_memory(tmp_path) as server:
        ada = Client.sign_up(server.url, "ada@example.com")
        ada.add("hello")
        server.wait_for_lines("the database is in memory: all of it is gone when this process stops")

    with serving_in_memory(tmp_path) as server:
        assert ada.at(server.url).request("GET", "/posts").status_code == 401
        form = {"email": ada.email, "password": PASSWORD}
        assert httpx.post(f"{server.url}/auth/login", json=form).status_code == 401
        assert Client.sign_up(server.url, ada.email).list() == []
    assert files_in(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self/fdinfo").exists(), reason="needs Linux to see what files a process has open")
def test_nothing_is_on_disk_whatever_people_do(server: Server, tmp_path: Path) -> None:
    ada = Client.sign_up(server.url, "ada@example.com")
    for _ in range(10):
        ada.add("x" * TEXT_BYTES)
    httpx.post(f"{server.url}/auth/password-reset", json={"email": ada.email})
    exported = ada.request("GET", "/me/export").content
    imported = ada.request("POST", "/me/import", content=exported, headers={"content-type": "application/x-ndjson"})
    assert imported.json()["skipped"] == 10

    with ThreadPoolExecutor(4) as pool, ExitStack() as stack:
        # Clients that take nothing: the rest of their answers waits in memory, or in the database.
        for path in ("/posts", "/me/export"):
            connection = stack.enter_context(connect(server))
            connection.sendall(head(f"GET {path}".encode(), bearer(ada)))
            assert connection.recv(1)
        assert set(pool.map(lambda _: len(ada.add("hello")), range(100))) == {36}
        assert files_written_by(server) == []

    assert files_in(tmp_path) == []


def test_a_list_of_100_mb_shows_one_version_while_people_post(server: Server) -> None:
    ada, bob = (Client.sign_up(server.url, f"{name}@example.com") for name in ("ada", "bob"))
    ids = [ada.add("x" * TEXT_BYTES) for _ in range(POSTS)]
    headers = {"authorization": f"Bearer {ada.tokens['access_token']}"}

    with httpx.stream("GET", f"{server.url}/posts", headers=headers, timeout=120) as listed:
        chunks = listed.iter_bytes()
        received = bytearray(next(chunks))
        with ThreadPoolExecutor(8) as pool:
            added = list(pool.map(lambda number: [ada, bob][number % 2].add("meanwhile"), range(40)))
        assert ada.request("PATCH", f"/posts/{ids[0]}", json={"text": "edited"}).status_code == 200
        assert ada.request("DELETE", f"/posts/{ids[1]}").status_code == 204
        for chunk in chunks:
            received += chunk

    posts = json.loads(received)
    assert listed.headers["etag"] == f'"{POSTS}"'
    assert [post["postID"] for post in posts] == ids[::-1]
    assert {len(post["text"]) for post in posts} == {TEXT_BYTES}
    assert {post["postID"] for post in ada.list()} == {*ids[:1], *ids[2:], *added[::2]}
    assert len(bob.list()) == 20


def test_two_of_them_run_side_by_side_and_know_nothing_of_each_other(tmp_path: Path) -> None:
    with serving_in_memory(tmp_path) as first, serving_in_memory(tmp_path) as second:
        for server in (first, second):
            assert Client.sign_up(server.url, "ada@example.com").list() == []


def test_without_a_mail_server_it_sends_none_and_says_so(server: Server) -> None:
    answer = httpx.post(f"{server.url}/auth/password-reset", json={"email": "ada@example.com"})

    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:problem-type:postline:mail-not-configured"
    # What needs mail is hidden, and says so.
    assert "needs-mail>Forgot your password?" in httpx.get(f"{server.url}/").text


@pytest.mark.parametrize("environment", ["development", "testing", "production"])
def test_it_serves_in_each_environment(tmp_path: Path, environment: str) -> None:
    secret = "3c9a1f5e7b2d8c4a6f0e1d3b5a7c9e2f4b6d8a0c1e3f5a7b9d2c4e6f8a0b1c3d"
    with serving_in_memory(tmp_path, ENVIRONMENT=environment, JWT_SECRET=secret) as server:
        ada = Client.sign_up(server.url, "ada@example.com")
        ada.add("hello")

        server.wait_for_lines("the database is in memory")
        assert [post["text"] for post in ada.list()] == ["hello"]
        assert httpx.get(f"{server.url}/health/ready").json() == {"status": "ok"}
        assert 'postline_database_connections_limit{pool="write"} 1.0' in httpx.get(f"{server.url}/metrics").text


@pytest.mark.parametrize(
    "command",
    [
        ("litestar", "--app-dir", str(ROOT), *words.split())
        for words in (
            "users list",
            "users create ada@example.com",
            "events status",
            "invites list",
            "mail status",
            "webhooks list",
            "posts export ada@example.com -",
            "posts import ada@example.com -",
            "backup copy.db",
            "restore copy.db",
        )
    ]
    + [("alembic", "-c", str(ROOT / "alembic.ini"), "upgrade", "head")],
)
def test_a_command_says_that_it_can_not_reach_the_database(tmp_path: Path, command: tuple[str, ...]) -> None:
    ended = run(*command, cwd=tmp_path, typed=f"{PASSWORD}\n", **IN_MEMORY)

    assert ended.returncode == 1
    assert ended.stdout == ""
    [said] = ended.stderr.splitlines()
    assert said.startswith("postline: the database is in the memory of the process that serves it")
    assert files_in(tmp_path) == []


def test_several_workers_are_one_line(tmp_path: Path) -> None:
    ended = run("litestar", "--app-dir", str(ROOT), "run", cwd=tmp_path, WEB_CONCURRENCY="2", **IN_MEMORY)

    assert ended.returncode == 1
    [said] = ended.stderr.splitlines()
    assert said.startswith("postline: SQLite serves one process only")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that are no files")
def test_a_second_worker_of_another_server_refuses_to_serve_a_database_of_its_own(tmp_path: Path) -> None:
    server = Server(tmp_path, free_port(), 2, IN_MEMORY, "app.application:create_app")
    try:
        server.wait_for_lines("a database in memory serves one process only")
    finally:
        server.stop()


def test_a_reloaded_service_begins_empty(tmp_path: Path) -> None:
    (tmp_path / "watched").mkdir()
    port = free_port()
    options = ("--port", str(port), "--reload-dir", "watched", "--reload-include", "*.txt")
    url = f"http://127.0.0.1:{port}"
    with running(tmp_path, *options, settings=IN_MEMORY) as process, httpx.Client(base_url=url) as client:
        wait_until_served(client, process)
        ada = Client.sign_up(url, "ada@example.com")

        (tmp_path / "watched" / "changed.txt").touch()

        deadline = time.monotonic() + START_SECONDS
        while status_of(ada) != 401:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def status_of(person: Client) -> int | None:
    try:
        return person.request("GET", "/posts").status_code
    except httpx.TransportError:
        return None
