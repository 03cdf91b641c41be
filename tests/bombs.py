"""Requests that are as large as the service reads them, in every way that costs the reader time."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

MEBIBYTE = 1_048_576
CHUNK = 65_536


class Bomb(NamedTuple):
    """A request, but for its token."""

    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""


def full(begin: bytes, item: bytes, end: bytes = b"", *, size: int = MEBIBYTE) -> bytes:
    """Return as many items, with commas between them, as fit between the beginning and the end."""
    return begin + b",".join([item] * ((size - len(begin) - len(end)) // (len(item) + 1))) + end


def bodies(size: int = MEBIBYTE) -> dict[str, bytes]:
    """Return bodies of this size that are costly to decode or to validate, by what they are made of."""
    texts = {
        "unknown fields": b"{" + b",".join(b'"%07x":1' % number for number in range(size // 12)) + b"}",
        "one field again and again": full(b"{", b'"text":""', b"}", size=size),
        "one long name": b'{"' + b"x" * (size - 6) + b'":1}',
        "small numbers": full(b'{"text":[', b"1", b"]}", size=size),
        "numbers of 300 digits": full(b'{"text":[', b"9" * 300, b"]}", size=size),
        "numbers of 4,000 digits": full(b'{"text":[', b"9" * 4000, b"]}", size=size),
        "fractions": full(b'{"text":[', b"0." + b"123456789" * 10, b"]}", size=size),
        "one number": b'{"text":' + b"1" * (size - 9) + b"}",
        "empty objects": full(b'{"text":[', b"{}", b"]}", size=size),
        "empty arrays": full(b'{"text":[', b"[]", b"]}", size=size),
        "empty arrays at the top": full(b"[", b"[]", b"]", size=size),
        "unended arrays": b"[" * size,
        "unended objects": b'{"a":' * (size // 5),
        "towers of arrays": full(b'{"text":[', b"[" * 500 + b"]" * 500, b"]}", size=size),
        "short strings": full(b'{"text":[', b'"ab"', b"]}", size=size),
        "events": full(b'{"url":"https://example.com/","events":[', b'"x"', b"]}", size=size),
        "known events": full(b'{"url":"https://example.com/","events":[', b'"post.created"', b"]}", size=size),
        "operations": full(b'{"operations":[', b'{"op":"create","text":"x"}', b"]}", size=size),
        "invalid operations": full(b'{"operations":[', b"1", b"]}", size=min(size, 1000)),
        "operations of many fields": full(b'{"operations":[{"op":"create"', b'"x":"y"', b"}]}", size=size),
        "an address of many parts": b'{"email":"' + b"a." * ((size - 60) // 2) + b'a@example.com","password":"p"}',
        "an address of many labels": b'{"email":"a@' + b"x." * ((size - 60) // 2) + b'com","password":"p"}',
        "an address of spaces": b'{"email":"a' + b" " * (size - 60) + b'b@c.de","password":"p"}',
        "an address of other letters": b'{"email":"a@' + "ß".encode() * ((size - 60) // 2) + b'.de","password":"p"}',
        "a URL of other letters": b'{"url":"https://' + "ß".encode() * ((size - 60) // 2) + b'.de"}',
        "a long refresh token": b'{"refresh_token":"' + b"1" * (size - 60) + b'.1.1"}',
        "a generation of many digits": b'{"refresh_token":"' + b"0" * 32 + b"." + b"1" * (size - 100) + b'.1"}',
        "characters that are refused": b'{"text":"' + b"\\u0000" * (size // 6 - 3) + b'"}',
        "spaces": b'{"text":""' + b" " * (size - 12) + b"}",
        "no JSON": b"\x00" * size,
        "an unended string": b'{"text":"' + b"\\" * (size - 9),
    }
    return {name: body[:size] for name, body in texts.items()}


def valid_texts(size: int = MEBIBYTE) -> dict[str, bytes]:
    """Return bodies with a valid text that fills them."""
    begin, end = b'{"text":"', b'"}'
    left = size - len(begin) - len(end)
    pieces = [b"x", b"\\n", b"\\u0001", "é".encode(), "👋".encode(), b"\\ud83d\\udc4b"]
    return {repr(piece): begin + piece * (left // len(piece)) + end for piece in pieces}


def targets(size: int = 60_000) -> dict[str, str]:
    """Return what may stand behind `GET ` and be costly to read."""
    return {
        "parameters": "/posts?" + "&".join(["limit=1"] * (size // 8)),
        "distinct parameters": "/posts?" + "&".join(f"{number}=1" for number in range(size // 9)),
        "names alone": "/posts?" + "&".join("a" * (size // 2)),
        "escaped parameters": "/posts?" + "&".join(["%41=%F0%9F%98%80"] * (size // 17)),
        "one long parameter": "/posts?cursor=" + "1" * size,
        "parameters of a feed": "/posts/events?" + "&".join(["after=x"] * (size // 8)),
        "parameters of nothing": "/health/live?" + "&".join("a" * (size // 2)),
        "a deep path": "/" + "a/" * (size // 2),
        "an escaped path": "/posts/" + "%41" * (size // 3),
        "a long id": "/posts/" + "0" * size,
        "a long file name": "/docs/assets/" + "a" * size,
    }


def heads(size: int = 60_000) -> dict[str, tuple[tuple[bytes, bytes], ...]]:
    """Return headers that are costly to read."""

    def line(name: bytes, value: bytes) -> tuple[tuple[bytes, bytes], ...]:
        return ((name, value[:size]),)

    many = size // 5
    return {
        "tags": line(b"if-none-match", b'"a",' * many),
        "weak tags": line(b"if-none-match", b'W/"17" ,\t ' * many),
        "empty tags": line(b"if-none-match", b", \t" * many),
        "an unended tag": line(b"if-none-match", b'"a"' + b" \t" * many + b"x"),
        "nearly tags": line(b"if-none-match", b'"1"\t' * many),
        "tags in lines": ((b"if-none-match", b'"1"'),) * (size // 20),
        "versions": line(b"if-match", b'"1",' * many),
        "a long version": line(b"if-match", b'"' + b"1" * size),
        "a key": line(b"idempotency-key", b"k" * size),
        "a cookie": line(b"cookie", b"a=%41;" * many),
        "types": line(b"accept", b"a/b;q=0.1," * many),
        "parameters of a type": line(b"content-type", b"application/json" + b';a="\\"' * many),
        "a long type": line(b"content-type", b"a" * size),
        "spaces in a type": line(b"content-type", b"application/json;" + b" " * size),
        "codings": line(b"content-encoding", b"identity," * many),
        "a request's id": line(b"x-request-id", b"a" * size),
        "a trace": line(b"traceparent", b"01-" + b"a" * 32 + b"-" + b"b" * 16 + b"-00-" + b"c" * size),
        "a trace's state": line(b"tracestate", b"a=b," * many),
        "a user agent": line(b"user-agent", b"a" * size),
        "an event's id": line(b"last-event-id", b"1" * size),
        "a host": line(b"host", b"a." * many),
        "a range": line(b"range", b"bytes=" + b"0-1," * many),
        "lines": ((b"a", b"b"),) * (size // 6),
    }


async def send(
    app: Callable[..., Coroutine[Any, Any, None]], bomb: Bomb, *, token: str | None = None, chunk: int = CHUNK
) -> tuple[int, bytes]:
    """Send it to an application in this event loop, in chunks; return the status and the body of the answer."""
    path, _, query = bomb.target.partition("?")
    headers = [(b"content-length", b"%d" % len(bomb.body)), *bomb.headers]
    if token is not None:
        headers.append((b"authorization", b"Bearer " + token.encode()))
    for name, value in ((b"host", b"postline"), (b"content-type", b"application/json")):
        if name not in dict(bomb.headers):
            headers.append((name, value))
    parts = [bomb.body[start : start + chunk] for start in range(0, len(bomb.body), chunk)] or [b""]
    status, answer = 0, b""

    async def receive() -> Any:
        await asyncio.sleep(0)
        if parts:
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}
        return {"type": "http.disconnect"}

    async def collect(message: Any) -> None:
        nonlocal status, answer
        status = message.get("status", status)
        answer += message.get("body", b"")

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": bomb.method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": headers,
        "client": ("192.0.2.1", 1),
        "server": ("postline", 80),
    }
    # A task of its own, so that its steps have ended, and been timed, when it has.
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(app(scope, receive, collect))
    return status, answer


class Stalls:
    """How long, in seconds of the processor's time, one callback held the event loop at most."""

    longest = 0.0


@contextmanager
def watched_loop() -> Iterator[Stalls]:
    """Time each callback of the event loop, in processor time, so that a busy machine does not count."""
    stalls, run = Stalls(), asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        run(handle)
        stalls.longest = max(stalls.longest, time.thread_time() - began)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.Handle, "_run", timed)
        yield stalls
