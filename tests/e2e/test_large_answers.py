"""Exports and lists of any size, in memory that does not grow with them."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import Client, Server, migrate, serving
from tests.services import fresh_mariadb_database

POSTS = 200
TEXT_BYTES = 1_048_000
MEBIBYTE = 1_048_576
_ID = re.compile(rb'"postID":"([0-9a-f-]{36})"')


@pytest.fixture(params=["SQLite", "MariaDB"])
def one_process(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    if request.param == "SQLite":
        with serving(tmp_path) as server:
            yield server
        return
    with fresh_mariadb_database() as url:
        settings = {"DATABASE_URL": url.render_as_string(hide_password=False)}
        migrate(tmp_path, **settings)
        with serving(tmp_path, settings=settings) as server:
            yield server


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux to measure a process's memory")
def test_two_hundred_megabytes_are_exported_and_listed_within_64_mebibytes(one_process: Server) -> None:
    person = Client.sign_up(one_process.url, "large@example.com")
    ids = [person.add(f"{number:06}" + "x" * (TEXT_BYTES - 6)) for number in range(POSTS)]
    # Every connection has been in use, as in a process that has served for a while.
    with ThreadPoolExecutor(32) as pool:
        assert set(pool.map(lambda _: person.request("GET", f"/posts/{ids[0]}").status_code, range(96))) == {200}
    before = one_process.reset_peak_memory()

    assert ids_in(person, "/me/export") == ids
    for _ in range(2):
        assert ids_in(person, "/posts") == ids[::-1]

    growth = one_process.peak_memory() - before
    assert growth < 64 * MEBIBYTE, f"{growth / MEBIBYTE:.0f} MiB"


def test_head_of_what_is_streamed_leaves_no_connection_behind(one_process: Server) -> None:
    person = Client.sign_up(one_process.url, "large@example.com")
    for _ in range(5):
        person.add("x" * TEXT_BYTES)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda path: person.request("HEAD", path), ["/posts", "/me/export"] * 32))

    assert {(answer.status_code, answer.content) for answer in answers} == {(200, b"")}
    assert len(person.list()) == 5
    assert "Traceback" not in one_process.output()


def ids_in(person: Client, path: str) -> list[str]:
    """Read an answer of any size, and return the ids of the posts in it, all of which must be there in full."""
    headers = {"authorization": f"Bearer {person.tokens['access_token']}"}
    found, size, tail = list[str](), 0, b""
    with httpx.stream("GET", f"{person.url}{path}", headers=headers, timeout=120) as response:
        assert response.status_code == 200
        assert response.headers.get("cache-status") in {None, "postline; fwd=miss"}
        for chunk in response.iter_bytes():
            size += len(chunk)
            seen = tail + chunk
            end = 0
            for match in _ID.finditer(seen):
                found.append(match[1].decode())
                end = match.end()
            # It may be the beginning of an id that the next chunk ends.
            tail = seen[max(end, len(seen) - 47) :]
    assert size > POSTS * TEXT_BYTES
    return found
