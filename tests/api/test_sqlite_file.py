"""The SQLite file of a running service: what becomes of the service when somebody takes the file away."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from httpx import AsyncClient
from litestar import Litestar
from sqlalchemy import event, literal, select
from sqlalchemy.exc import OperationalError

from app.application import create_app
from app.database.engines import Database
from app.database.faults import FileReplaced
from app.settings import Settings
from events.types import PostEvent
from tests.api.conftest import Log, serve
from tests.api.people import Person, assert_problem
from tests.conftest import settings_for, sqlite_url

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def file(settings: Settings) -> Path:
    return Path(settings.database.database or "")


def in_another_process(code: str, *arguments: object) -> None:
    """Run code that ends without closing what it opened: SQLite's locks are those of a process."""
    command = [sys.executable, "-c", f"import os, shutil, sqlite3, sys\n{code}\nos._exit(0)", *map(str, arguments)]
    subprocess.run(command, check=True, timeout=30)


def copy(path: Path, other: Path) -> None:
    in_another_process("shutil.copy(sys.argv[1], sys.argv[2])", path, other)


def checkpoint(path: Path, kind: str) -> None:
    """Bring the log into the database, as tools do that copy databases."""
    in_another_process("sqlite3.connect(sys.argv[1]).execute(f'PRAGMA wal_checkpoint({sys.argv[2]})')", path, kind)


def size_of(path: Path) -> int:
    return path.stat().st_size


def modes_of(*paths: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in paths}


def remove(path: Path) -> None:
    path.unlink()


def rename(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


def replace(path: Path) -> None:
    copy(path, path.with_name("other.db"))
    path.with_name("other.db").replace(path)


def remove_the_log(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


def remove_the_index(path: Path) -> None:
    path.with_name(f"{path.name}-shm").unlink()


def replace_the_log(path: Path) -> None:
    log = path.with_name(f"{path.name}-wal")
    copy(log, log.with_suffix(".copy"))
    log.with_suffix(".copy").replace(log)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def cut_in_half(path: Path) -> None:
    # What is not in the log any more, or SQLite would have a right to a short file.
    checkpoint(path, "PASSIVE")
    os.truncate(path, path.stat().st_size // 8192 * 4096)


def empty_the_log(path: Path) -> None:
    os.truncate(path.with_name(f"{path.name}-wal"), 0)


def remove_the_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def rename_the_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


FAULTS = [
    remove,
    rename,
    replace,
    remove_the_log,
    remove_the_index,
    replace_the_log,
    empty,
    cut_in_half,
    empty_the_log,
    remove_the_folder,
    rename_the_folder,
]


@pytest.mark.parametrize("spoil", FAULTS)
async def test_nothing_is_acknowledged_once_the_file_is_gone(
    client: AsyncClient, ada: Person, log: Log, file: Path, spoil: Callable[[Path], None]
) -> None:
    await ada.add("kept")
    assert await ada.texts() == ["kept"]

    spoil(file)

    for _ in range(3):
        assert_problem(await ada.request("POST", "/posts", json={"text": "lost"}), 503)
    assert_problem(await ada.request("GET", "/posts"), 503)
    ready = await client.get("/health/ready")
    assert_problem(ready, 503)
    assert "The database's file" in ready.json()["detail"]
    assert (await client.get("/health/live")).status_code == 200
    assert log.take().count("the database's file") == 1


async def test_what_is_committed_while_the_file_goes_is_not_acknowledged(
    client: AsyncClient, ada: Person, app: Litestar, file: Path
) -> None:
    async def take_away(_: PostEvent) -> None:
        remove(file)

    app.state.service.bus.subscribe(PostEvent, take_away)

    assert_problem(await ada.request("POST", "/posts", json={"text": "lost"}), 503)


async def test_a_connection_makes_no_new_file_where_the_file_was(database: Database, file: Path) -> None:
    with database.serving_file():
        # After the service has looked at the file, and before SQLite opens it.
        event.listen(database.reader.sync_engine, "do_connect", lambda *_: remove(file))

        with pytest.raises(OperationalError):
            await database.rows(select(literal(1)))

        with pytest.raises(FileReplaced, match="was removed"):
            database.check_file()


async def test_it_is_noticed_without_a_request(client: AsyncClient, log: Log, file: Path) -> None:
    remove(file)

    async with asyncio.timeout(30):
        while "was removed" not in log.getvalue():  # noqa: ASYNC110 - it happens elsewhere
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("suffixes", [("",), ("", "-wal", "-shm")])
async def test_the_same_file_put_back_is_served_again_without_a_restart(
    client: AsyncClient, ada: Person, file: Path, suffixes: tuple[str, ...]
) -> None:
    paths = [file.with_name(f"{file.name}{suffix}") for suffix in suffixes]
    await ada.add("before")
    for path in paths:
        path.rename(path.with_suffix(f"{path.suffix}.moved"))
    assert_problem(await ada.request("POST", "/posts", json={"text": "lost"}), 503)

    for path in paths:
        path.with_suffix(f"{path.suffix}.moved").rename(path)
    assert (await client.get("/health/ready")).status_code == 200

    await ada.add("after")
    assert await ada.texts() == ["after", "before"]


async def test_a_file_that_another_tool_made_smaller_is_served(client: AsyncClient, ada: Person, file: Path) -> None:
    ids = [await ada.add("x" * 100_000) for _ in range(20)]
    checkpoint(file, "TRUNCATE")
    for post_id in ids[1:]:
        assert (await ada.request("DELETE", f"/posts/{post_id}")).status_code == 204
    size = size_of(file)

    # In a thread, so that what the service has begun to write meanwhile can end.
    vacuum = "sqlite3.connect(sys.argv[1], timeout=25).execute('VACUUM')"
    await asyncio.to_thread(in_another_process, vacuum, file)
    await asyncio.to_thread(checkpoint, file, "TRUNCATE")

    assert size_of(file) < size
    await ada.add("after")
    assert [len(text) for text in await ada.texts()] == [5, 100_000]
    assert (await client.get("/health/ready")).status_code == 200


async def test_a_link_that_leads_elsewhere_is_noticed(settings: Settings, file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(file)
    async with serve(create_app(settings_for(sqlite_url(link), tmp_path))) as client:
        ada = await Person.sign_up(client, "ada@example.com")
        copy(file, tmp_path / "second.db")
        link.unlink()
        link.symlink_to(tmp_path / "second.db")

        assert_problem(await ada.request("POST", "/posts", json={"text": "lost"}), 503)


async def test_what_a_link_leads_to_only_its_own_user_can_read(settings: Settings, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "first.db")

    async with serve(create_app(settings_for(sqlite_url(link), tmp_path))):
        assert modes_of(tmp_path / "first.db", tmp_path / "first.db-wal", tmp_path / "first.db-shm") == {0o600}


async def test_a_damaged_page_is_no_fault_of_the_request(app: Litestar, log: Log, file: Path) -> None:
    async with serve(app) as client:
        ada = await Person.sign_up(client, "ada@example.com")
        await ada.add("kept")
    with closing(sqlite3.connect(file)) as connection:
        [root] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'posts'").fetchone()
    in_another_process(
        "os.pwrite(os.open(sys.argv[1], os.O_WRONLY), b'x' * 4096, (int(sys.argv[2]) - 1) * 4096)", file, root
    )

    async with serve(app) as client:
        ada.client = client
        assert_problem(await ada.request("GET", "/posts"), 503)
        assert_problem(await ada.request("POST", "/posts", json={"text": "lost"}), 503)
    assert "Traceback" not in log.take()
