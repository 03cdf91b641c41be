"""Imports into a running service: of any size, killed on the way, beside it by an operator, and too slow."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import ROOT, Client, Server, environment, free_port, serving
from tests.unfinished import UnfinishedRequest

NDJSON = {"content-type": "application/x-ndjson"}
MEBIBYTE = 1_048_576
LARGE_POSTS = 200


@pytest.fixture
def server(tmp_path: Path, settings: dict[str, str]) -> Iterator[Server]:
    with serving(tmp_path, settings=settings) as server:
        yield server


def line(number: int, text: str) -> bytes:
    post = {"postID": f"01a20544-8f6d-7250-9b81-{number:012}", "text": text, "version": 1}
    times = dict.fromkeys(("created_at", "updated_at"), "2026-01-02T03:04:05.678901Z")
    return json.dumps(post | times).encode() + b"\n"


def send(person: Client, content: bytes | Iterator[bytes]) -> httpx.Response:
    return person.request("POST", "/me/import", content=content, headers=NDJSON, timeout=300)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux to measure a process's memory")
def test_two_hundred_megabytes_are_imported_within_32_mebibytes(server: Server) -> None:
    person = Client.sign_up(server.url, "large@example.com")
    text = "x" * (MEBIBYTE - 512)
    warmed_up = send(person, (line(number, text) for number in range(10)))
    assert warmed_up.json()["created"] == 10
    before = server.reset_peak_memory()

    answer = send(person, (line(number, text) for number in range(LARGE_POSTS)))

    assert answer.json() == {"created": LARGE_POSTS - 10, "skipped": 10, "version": LARGE_POSTS}
    growth = server.peak_memory() - before
    assert growth < 32 * MEBIBYTE, f"{growth / MEBIBYTE:.0f} MiB"


def test_an_import_that_is_killed_and_sent_again_adds_each_post_once(tmp_path: Path, settings: dict[str, str]) -> None:
    port, content = free_port(), [line(number, f"post {number}") for number in range(3000)]
    with serving(tmp_path, port=port, settings=settings) as server:
        person = Client.sign_up(server.url, "killed@example.com")

        def until_killed() -> Iterator[bytes]:
            yield b"".join(content[:2000])
            while len(person.list()) < 500:
                pass
            server.kill()
            yield b"".join(content[2000:])

        with pytest.raises(httpx.TransportError):
            send(person, until_killed())

    with serving(tmp_path, port=port, settings=settings):
        kept = len(person.list())
        assert kept >= 500
        assert kept % 500 == 0

        answer = send(person, b"".join(content))

        assert answer.json() == {"created": 3000 - kept, "skipped": kept, "version": 3000}
        assert [post["text"] for post in person.list()] == [f"post {number}" for number in range(3000)][::-1]


def test_a_refusal_is_read_by_who_is_still_sending(server: Server) -> None:
    person = Client.sign_up(server.url, "refused@example.com")

    def endlessly() -> Iterator[bytes]:
        yield b"no line of an export\n"
        for _ in range(100):
            yield b"x" * 65_536

    response = send(person, endlessly())

    assert (response.status_code, response.json()["line"]) == (400, 1)
    assert person.list() == []


def test_an_import_may_wait_longer_than_other_bodies_and_not_for_ever(tmp_path: Path) -> None:
    with serving(tmp_path, app="tests.e2e.slow_body_app:create_app") as server:
        person = Client.sign_up(server.url, "slow@example.com")
        token = f"Authorization: Bearer {person.tokens['access_token']}"
        with UnfinishedRequest(server.url, "/me/import", token, media_type=NDJSON["content-type"]) as request:
            request.send(line(1, "hello"))
            head, _, body = request.answer().partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["type"] == "urn:problem-type:postline:too-slow"


class Operator:
    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self._folder = folder
        self._settings = settings

    def run(self, *command: str, typed: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "litestar", "--app-dir", str(ROOT), *command],
            cwd=self._folder,
            env=environment(**self._settings),
            input=typed,
            capture_output=True,
            timeout=120,
            check=False,
        )


def test_an_operator_takes_posts_from_one_account_to_another_beside_the_service(
    server: Server, settings: dict[str, str], tmp_path: Path
) -> None:
    ada, bob = (Client.sign_up(server.url, f"{name}@example.com") for name in ("ada", "bob"))
    for text in ("one", "two", "three"):
        ada.add(text)
    assert bob.list() == []
    operator = Operator(tmp_path, settings)
    woken = threading.Event()

    def follow() -> None:
        headers = {"authorization": f"Bearer {bob.tokens['access_token']}"}
        with httpx.stream("GET", f"{server.url}/posts/events?after=0", headers=headers, timeout=120) as feed:
            for heard in feed.iter_lines():
                if heard == "id: 3":
                    woken.set()
                    return

    following = threading.Thread(target=follow, daemon=True)
    following.start()

    exported = operator.run("posts", "export", "ADA@example.com", "ada.ndjson", "--json")
    imported = operator.run("posts", "import", bob.email, "ada.ndjson", "--json")

    assert json.loads(exported.stdout) == [{"email": ada.email, "posts": 3, "file": "ada.ndjson"}], exported.stderr
    assert json.loads(imported.stdout) == [{"email": bob.email, "created": 3, "skipped": 0, "version": 3}]
    assert [post["text"] for post in bob.list()] == ["three", "two", "one"]
    assert woken.wait(60)
    assert (tmp_path / "ada.ndjson").stat().st_mode & 0o777 == 0o600

    piped = operator.run("posts", "export", ada.email, "-").stdout
    again = operator.run("posts", "import", bob.email, "-", typed=piped)
    assert again.stdout == b"0 posts are imported, 3 were there already\n"
    (shown,) = json.loads(operator.run("users", "show", bob.email, "--json").stdout)
    assert [action["action"] for action in shown["actions"]] == ["posts imported", "posts imported"]

    cut = operator.run("posts", "import", bob.email, "-", typed=piped[:-50])
    assert (cut.returncode, cut.stderr.startswith(b"postline: Line ")) == (1, True), cut.stderr
    missing = operator.run("posts", "import", bob.email, "missing.ndjson")
    assert missing.stderr.strip() == b"postline: missing.ndjson: No such file or directory"
    unwritable = operator.run("posts", "export", ada.email, "missing/ada.ndjson")
    assert unwritable.stderr.strip() == b"postline: missing/ada.ndjson: No such file or directory"
    unknown = operator.run("posts", "export", "nobody@example.com", "nobody.ndjson")
    assert unknown.stderr.strip() == b"postline: no user has this address"
    assert not list(tmp_path.glob("nobody.ndjson*"))
