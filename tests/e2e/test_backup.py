"""Copies of the database, made while the service runs and put back: posts, versions, sessions, all as they were."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.e2e.server import ROOT, Client, environment, migrate, run, serving
from tests.services import fresh_mariadb_database, mariadb_variables, program


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


def commands_of(guide: Path, part: str) -> list[str]:
    """Return the shell blocks of one part of a guide."""
    (text,) = re.findall(rf"^## {part}\n(.*?)(?=^## |\Z)", guide.read_text(), re.DOTALL | re.MULTILINE)
    return re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def shell(commands: str, folder: Path, **variables: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        ["bash", "-e", "-c", commands],
        cwd=folder,
        env=environment(PATH=path, **variables),
        check=True,
        timeout=60,
    )


def test_a_database_on_a_server_is_dumped_while_it_is_written_to_and_loaded(tmp_path: Path) -> None:
    setting, back_up, restore = commands_of(ROOT / "docs/operations/backup.md", "MySQL and MariaDB")
    assert "mysqldump" in setting
    is_mariadb = "MariaDB" in mariadb_variables("version")["version"]
    dump, client = ("mariadb-dump", "mariadb") if is_mariadb else ("mysqldump", "mysql")
    program(dump)
    with fresh_mariadb_database() as url:
        settings = {"DATABASE_URL": url.render_as_string(hide_password=False), "MYSQL_PWD": url.password or ""}
        here = (
            f"dump={dump} client={client} database={url.database}\n"
            f'at="--host={url.host} --port={url.port or 3306} --user={url.username} --protocol=tcp"\n'
            f'alembic() {{ command alembic -c "{ROOT}/alembic.ini" "$@"; }}\n'
        )
        migrate(tmp_path, **settings)
        with serving(tmp_path, settings=settings) as server:
            person, known = write_some(server.url)
            with somebody_writing(server.url) as writer:
                shell(here + back_up, tmp_path, **settings)
            person.add("lost")

        shell(here + back_up.splitlines()[0] + "\n" + restore, tmp_path, **settings)

        with serving(tmp_path, settings=settings) as server:
            assert_is_as_it_was(server.url, person, known, writer)
