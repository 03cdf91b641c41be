"""What one account does to the others, on a real server: it gets its share, and they notice little."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import NamedTuple, Self
from uuid import uuid4

import pytest

from tests.e2e.server import Client, Server, migrate, serving
from tests.scraping import samples
from tests.services import fresh_mariadb_database

MEBIBYTE = 1_048_576
SHARES = ("snapshots", "reads", "writes", "feeds", "bytes of answers", "bytes of spooled answers")


class Place(NamedTuple):
    """A folder and a migrated database, for one server."""

    folder: Path
    settings: dict[str, str]

    @contextmanager
    def serving(self, app: str = "app.application:create_app", **settings: str) -> Iterator[Server]:
        with serving(self.folder, app=app, settings=self.settings | settings) as server:
            yield server


@pytest.fixture(params=["SQLite", "MariaDB"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "SQLite":
        yield Place(tmp_path, {})
        return
    with fresh_mariadb_database() as url:
        settings = {"DATABASE_URL": url.render_as_string(hide_password=False)}
        migrate(tmp_path, **settings)
        yield Place(tmp_path, settings)


class Answer(NamedTuple):
    """The head of an answer whose body the client has not taken yet."""

    status: int
    headers: Mapping[str, str]
    reader: asyncio.StreamReader

    @classmethod
    async def read(cls, reader: asyncio.StreamReader) -> Self:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        return cls(int(lines[0].split()[1]), headers, reader)

    async def body(self) -> bytes:
        """Take the body.

        Raises:
            EOFError, ConnectionError: It is cut off.
        """
        if "content-length" in self.headers:
            return await self.reader.readexactly(int(self.headers["content-length"]))
        found = bytearray()
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            found += await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        return bytes(found)


def request(person: Client, line: str, body: object = None, **headers: str) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    fields = {
        "Host": "x",
        "Authorization": f"Bearer {person.tokens['access_token']}",
        "Content-Type": "application/json",
        "Content-Length": str(len(content)),
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{line} HTTP/1.1\r\n{head}\r\n".encode() + content


@asynccontextmanager
async def asking(person: Client, line: str) -> AsyncIterator[Answer]:
    """Ask for something, and yield the beginning of the answer. The rest is taken when the caller asks for it."""
    port = int(person.url.rpartition(":")[2])
    # A small buffer, so that little is taken without asking.
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=65_536)
    try:
        writer.write(request(person, line))
        yield await Answer.read(reader)
    finally:
        await leave(writer)


async def leave(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


async def get(person: Client, path: str) -> bytes:
    async with asking(person, f"GET {path}") as answer:
        assert answer.status == 200
        return await answer.body()


def used(server: Server, person: Client) -> dict[str, float]:
    """Return what is held of each share."""
    found = samples(person.request("GET", "/metrics").text)
    return {name: found[f'postline_share_used{{share="{name}"}}'] for name in SHARES}


async def until_unused(server: Server, person: Client, *names: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        held = await asyncio.to_thread(used, server, person)
        if not any(held[name] for name in names or SHARES):
            return
        assert time.monotonic() < deadline, held
        await asyncio.sleep(0.05)


async def test_clients_that_sleep_over_large_answers_keep_none_from_others(place: Place) -> None:
    with place.serving() as server:
        slow, other = (Client.sign_up(server.url, f"{name}@example.com") for name in ("slow", "other"))
        for person in (slow, other):
            for number in range(20):
                person.add(f"{number}" + "x" * 1_000_000)
        quiet = time.monotonic()
        whole = await get(other, "/posts")
        quiet = time.monotonic() - quiet

        async with AsyncExitStack() as stack:
            asleep = [
                await stack.enter_async_context(asking(slow, f"GET {path}")) for path in ("/posts", "/me/export") * 4
            ]
            assert {answer.status for answer in asleep} == {200}
            # They hold no snapshot, although they have taken next to nothing.
            await until_unused(server, other, "snapshots")
            assert used(server, other)["bytes of spooled answers"] > 8 * 8 * MEBIBYTE

            began = time.monotonic()
            assert await get(other, "/posts") == whole
            assert len(await get(other, "/me/export")) > 20_000_000
            assert time.monotonic() - began < 20 * quiet + 5

            for answer in asleep:
                assert len(await answer.body()) > 20_000_000
        await until_unused(server, other)
        assert "Traceback" not in server.output()


async def test_without_a_spool_one_account_still_leaves_snapshots_to_others(place: Place) -> None:
    with place.serving(SPOOL_MAX_BYTES="0", DATABASE_TIMEOUT_SECONDS="1") as server:
        slow, other = (Client.sign_up(server.url, f"{name}@example.com") for name in ("slow", "other"))
        for person in (slow, other):
            for number in range(12):
                person.add(f"{number}" + "x" * 1_000_000)

        async with AsyncExitStack() as stack:
            asked = [stack.enter_async_context(asking(slow, "GET /posts")) for _ in range(8)]
            answers = [await each for each in asyncio.as_completed(asked)]
            assert Counter(answer.status for answer in answers) == {200: 2, 429: 6}
            assert all(answer.headers["retry-after"] for answer in answers if answer.status == 429)

            assert len(await get(other, "/posts")) > 12_000_000
            for answer in answers:
                if answer.status == 200:
                    assert len(await answer.body()) > 12_000_000
        await until_unused(server, other)


@pytest.mark.parametrize(
    ("text", "posts", "listed"),
    [("\x01" * 170_000, 24, 24_000_000), ("x" * 450_000, 8, 3_600_000)],
    ids=["control characters, each six bytes of JSON", "a list that is held whole"],
)
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux to measure a process's memory")
async def test_forty_clients_that_sleep_over_a_list_hold_little_memory(
    place: Place, text: str, posts: int, listed: int
) -> None:
    with place.serving() as server:
        slow, other = (Client.sign_up(server.url, f"{name}@example.com") for name in ("slow", "other"))
        for _ in range(posts):
            slow.add(text)
        whole = await get(slow, "/posts")
        assert len(whole) > listed
        before = server.reset_peak_memory()

        async with AsyncExitStack() as stack:
            asked = [stack.enter_async_context(asking(slow, "GET /posts")) for _ in range(40)]
            answers = [await each for each in asyncio.as_completed(asked)]
            assert {answer.status for answer in answers} <= {200, 429}
            assert (await asyncio.to_thread(other.request, "GET", "/posts")).status_code == 200
            growth = server.peak_memory() - before
            assert growth < 160 * MEBIBYTE, f"{growth / MEBIBYTE:.0f} MiB"

            served = [answer for answer in answers if answer.status == 200]
            assert len(served) >= 8
            for body in await asyncio.gather(*(answer.body() for answer in served)):
                assert body == whole
        await until_unused(server, other)
        assert "Traceback" not in server.output()


async def test_a_client_that_takes_too_little_is_cut_off(place: Place) -> None:
    with place.serving(app="tests.e2e.fair_app:create_app") as server:
        slow = Client.sign_up(server.url, "slow@example.com")
        for number in range(12):
            slow.add(f"{number}" + "x" * 1_000_000)

        async with asking(slow, "GET /posts") as answer:
            assert answer.status == 200
            await until_unused(server, slow, "bytes of answers")
            with pytest.raises((EOFError, ConnectionError)):
                await answer.body()
        await until_unused(server, slow)
        assert "Traceback" not in server.output()


async def test_one_account_has_twenty_feeds_and_others_have_theirs(place: Place) -> None:
    with place.serving(FEEDS_MAX="23") as server:
        ada, bob, eve = (Client.sign_up(server.url, f"{name}@example.com") for name in ("ada", "bob", "eve"))
        async with AsyncExitStack() as stack:

            async def follow(person: Client) -> Answer:
                return await stack.enter_async_context(asking(person, "GET /posts/events"))

            feeds = [await follow(ada) for _ in range(20)]
            assert {feed.status for feed in feeds} == {200}
            refused = await follow(ada)
            assert (refused.status, refused.headers["retry-after"]) == (429, "1")
            assert [(await follow(bob)).status for _ in range(3)] == [200] * 3
            full = await follow(eve)
            assert (full.status, full.headers["retry-after"]) == (503, "1")

            post_id = ada.add("hello")
            for feed in feeds:
                assert post_id.encode() in await feed.reader.readuntil(post_id.encode())
        await until_unused(server, eve)
        async with asking(ada, "GET /posts/events") as again:
            assert again.status == 200


async def test_others_hardly_notice_the_feeds_of_an_account_that_posts_without_pause(place: Place) -> None:
    with place.serving() as server:
        busy, other = (Client.sign_up(server.url, f"{name}@example.com") for name in ("busy", "other"))

        async def seconds_to_read() -> float:
            began = time.monotonic()
            await get(other, "/posts")
            return time.monotonic() - began

        alone = [await seconds_to_read() for _ in range(30)]
        async with AsyncExitStack() as stack:
            feeds = [await stack.enter_async_context(asking(busy, "GET /posts/events")) for _ in range(20)]
            post_ids, beside = list[str](), list[float]()
            for number in range(30):
                post_ids.append(await asyncio.to_thread(busy.add, f"{number}"))
                # The feeds are being told meanwhile.
                beside.append(await seconds_to_read())
            for feed in feeds:
                await feed.reader.readuntil(post_ids[-1].encode())

        assert median(beside) < 10 * median(alone) + 0.1, (alone, beside)


async def test_fifteen_hundred_writers_of_one_account_fail_no_post_of_another(place: Place) -> None:
    with place.serving() as server:
        busy, other = (Client.sign_up(server.url, f"{name}@example.com") for name in ("busy", "other"))
        port, statuses = int(server.url.rpartition(":")[2]), Counter[int]()
        is_over = asyncio.Event()

        async def write() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                while not is_over.is_set():
                    key = {"Idempotency-Key": uuid4().hex}
                    writer.write(request(busy, "POST /posts", {"text": "again"}, **key))
                    answer = await Answer.read(reader)
                    await answer.body()
                    statuses[answer.status] += 1
            finally:
                await leave(writer)

        writers = [asyncio.create_task(write()) for _ in range(1500)]
        while not statuses[201]:  # noqa: ASYNC110 - it happens in other tasks
            await asyncio.sleep(0.05)

        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        overtaken = list[int]()
        for _ in range(20):
            before = statuses.total()
            writer.write(request(other, "POST /posts", {"text": "once"}))
            answer = await Answer.read(reader)
            assert answer.status == 201
            await answer.body()
            overtaken.append(statuses.total() - before)
        await leave(writer)
        is_over.set()
        await asyncio.gather(*writers)

        # Counted in answers, not in seconds: in the order of arrival, all 1,500 would come first.
        assert sorted(overtaken)[10] < 300, overtaken
        assert set(statuses) <= {201, 429}, statuses
        await until_unused(server, other)
