"""Large answers: read ahead of slow clients, held within a share, and cut off where a client takes too little."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest
from litestar.types import Message, Receive, Scope, Send

from app.http.large_answers import ABORT, AnswerPolicy, LargeAnswers, _Pace, hold_until_answered
from app.shares import Share

PIECE = 256 * 1024
IMPATIENT = AnswerPolicy(patience=0)


def large_answers(folder: Path, policy: AnswerPolicy = IMPATIENT, **bounds: int) -> LargeAnswers:
    given = {"max_memory": 4 * 4 * PIECE, "max_spool": 4 * 100 * PIECE, "max_snapshots": 1} | bounds
    return LargeAnswers(folder, policy=policy, **given)


def scope_of(client: str, *, aborted: asyncio.Event | None = None) -> Scope:
    abort = None if aborted is None else {ABORT: {"abort": aborted.set}}
    scope: Any = {"type": "http", "client": (client, 1), "extensions": abort}
    return scope  # type: ignore[no-any-return]


class Source:
    """Chunks of which the last tells that all have been read, and the end that the source was closed."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks
        self.is_read = asyncio.Event()
        self.is_closed = asyncio.Event()

    async def read(self) -> AsyncGenerator[bytes]:
        try:
            for chunk in self.chunks:
                yield chunk
            self.is_read.set()
        finally:
            self.is_closed.set()


def piece(number: int) -> bytes:
    return bytes([number]) * PIECE


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - it happens in another task
            await asyncio.sleep(0.001)


async def test_chunks_are_read_to_their_end_while_the_client_sleeps(tmp_path: Path) -> None:
    answers = large_answers(tmp_path)
    source = Source(*map(piece, range(100)))
    pieces = aiter(answers.read_ahead(scope_of("ada"), source.read()))

    first = await anext(pieces)
    await asyncio.wait_for(source.is_closed.wait(), 10)

    assert answers.spool.share.used >= 97 * PIECE
    assert first + b"".join([each async for each in pieces]) == b"".join(source.chunks)
    await until(lambda: not answers.spool.share.used)
    assert not os.listdir(tmp_path)  # noqa: PTH208 - pathlib blocks as well


async def test_small_chunks_are_sent_together_and_in_order(tmp_path: Path) -> None:
    chunks = [b"%d\n" % number for number in range(50_000)] + [piece(1) + b"x", b"end"]

    pieces = [each async for each in large_answers(tmp_path).read_ahead(scope_of("ada"), Source(*chunks).read())]

    assert b"".join(pieces) == b"".join(chunks)
    assert len(pieces) < 20
    assert max(map(len, pieces)) <= PIECE


async def test_a_client_that_leaves_gives_everything_back(tmp_path: Path) -> None:
    answers = large_answers(tmp_path)
    source = Source(*map(piece, range(50)))
    pieces: Any = answers.read_ahead(scope_of("ada"), source.read())
    await anext(pieces)

    await pieces.aclose()

    await asyncio.wait_for(source.is_closed.wait(), 10)
    await until(lambda: not answers.spool.share.used)


async def test_without_room_the_chunks_wait_and_all_of_them_arrive(tmp_path: Path) -> None:
    answers = large_answers(tmp_path, max_spool=4 * 5 * PIECE)
    source = Source(*map(piece, range(100)))
    pieces = aiter(answers.read_ahead(scope_of("ada"), source.read()))

    first = await anext(pieces)
    await until(lambda: answers.spool.share.used == 5 * PIECE)
    assert not source.is_read.is_set()

    assert first + b"".join([each async for each in pieces]) == b"".join(source.chunks)


async def test_a_folder_that_takes_no_files_only_makes_the_chunks_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError("no space left")

    answers = large_answers(tmp_path)
    monkeypatch.setattr("app.http.spool._write", refuse)
    source = Source(*map(piece, range(10)))

    received = [each async for each in answers.read_ahead(scope_of("ada"), source.read())]

    assert b"".join(received) == b"".join(source.chunks)
    assert answers.spool.share.used == 0


async def test_a_failure_while_reading_ahead_is_the_answers(tmp_path: Path) -> None:
    async def fail() -> AsyncGenerator[bytes]:
        yield piece(1)
        raise ValueError("the database is gone")

    with pytest.raises(ValueError, match="gone"):
        _ = [each async for each in large_answers(tmp_path).read_ahead(scope_of("ada"), fail())]


async def test_the_slowest_client_without_room_is_cut_off_when_others_need_its_connection(tmp_path: Path) -> None:
    policy = AnswerPolicy(patience=0, patience_without_room=0)
    answers, aborted = large_answers(tmp_path, policy, max_spool=0), asyncio.Event()
    source = Source(*map(piece, range(10)))
    pieces = aiter(answers.read_ahead(scope_of("slow", aborted=aborted), source.read()))
    await anext(pieces)
    await asyncio.sleep(0.01)

    answers.admit(scope_of("other"))

    assert aborted.is_set()


class Clock:
    """Stands in for an event loop's clock. Time passes only when a test advances it."""

    def __init__(self) -> None:
        self._now = 0.0
        self._timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self._now

    def call_at(self, at: float, callback: Callable[[], None]) -> None:
        self._timers.append((at, callback))

    def pass_until(self, at: float) -> None:
        self._now = at
        timers, self._timers = self._timers, []
        for due_at, callback in timers:
            if due_at <= at:
                callback()
            else:
                self.call_at(due_at, callback)


def test_a_client_below_the_least_rate_is_cut_off_and_a_slow_one_above_it_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, cut_off = Clock(), list[str]()
    monkeypatch.setattr("app.http.large_answers.asyncio.get_running_loop", lambda: clock)
    policy = AnswerPolicy(grace=60, least_rate=100)
    _Pace(lambda: cut_off.append("sleeping"), policy)
    steady = _Pace(lambda: cut_off.append("steady"), policy)

    steady.count(100 * 40)
    clock.pass_until(99)
    assert cut_off == ["sleeping"]

    clock.pass_until(100)
    assert cut_off == ["sleeping", "steady"]


class Client:
    """Takes an answer; it stops after the head until it may go on."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.has_head = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
            self.has_head.set()
        elif message["type"] == "http.response.body":
            await self.may_go_on.wait()
            self.body += message["body"]
            assert len(message["body"]) <= PIECE


def app_with(body: bytes) -> Any:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"etag", b'"1"')]})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return app


async def receive() -> Any:
    raise AssertionError


async def test_whole_answers_wait_in_memory_then_in_the_spool_and_then_are_refused(tmp_path: Path) -> None:
    # One client may have four pieces in memory and five in the spool.
    answers = large_answers(tmp_path, max_spool=4 * 5 * PIECE)
    body = b"".join(map(piece, range(3)))
    serve: Any = answers.middleware(app_with(body))
    clients = [Client() for _ in range(4)]
    running = list[asyncio.Task[Any]]()
    for client in clients:
        running.append(asyncio.create_task(serve(scope_of("ada"), receive, client.send)))
        if client is clients[2]:
            client.may_go_on.set()
        await asyncio.wait_for(client.has_head.wait(), 10)
        if client is clients[2]:
            await running[-1]

    assert [client.status for client in clients] == [200, 200, 429, 429]
    assert clients[2].headers[b"retry-after"] == b"1"
    assert clients[2].headers[b"content-type"] == b"application/problem+json"
    assert clients[2].headers[b"content-length"] == str(len(clients[2].body)).encode()
    assert b"etag" not in clients[2].headers
    assert (answers.memory.used, answers.spool.share.used) == (3 * PIECE, 3 * PIECE)
    other = Client()
    other.may_go_on.set()
    await serve(scope_of("grace"), receive, other.send)
    assert (other.status, other.body) == (200, body)

    for client in clients:
        client.may_go_on.set()
    await asyncio.wait_for(asyncio.gather(*running), 10)
    assert [client.body for client in clients[:2]] == [body, body]
    assert (answers.memory.used, answers.spool.share.used) == (0, 0)


async def test_small_answers_pass_as_they_are(tmp_path: Path) -> None:
    answers, client = large_answers(tmp_path, max_memory=0), Client()
    client.may_go_on.set()

    await answers.middleware(app_with(b"x" * 60_000))(scope_of("ada"), receive, client.send)

    assert (client.status, len(client.body), answers.memory.refused) == (200, 60_000, 0)


async def test_what_is_held_for_a_request_is_given_back_when_it_fails(tmp_path: Path) -> None:
    share = Share("feeds", per_key=1, total=1)

    async def app(scope: Scope, _: Receive, __: Send) -> None:
        hold_until_answered(scope, share.hold("ada"))
        assert share.used == 1
        raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        await large_answers(tmp_path).middleware(app)(scope_of("ada"), receive, Client().send)
    assert share.used == 0
