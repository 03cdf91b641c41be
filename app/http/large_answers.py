"""Large answers: what a client has not taken yet holds little memory, no database connection, and not for ever."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Hashable
from contextlib import AbstractContextManager, ExitStack, aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send

from app.errors import DomainError
from app.http.problems import PROBLEM_MEDIA_TYPE, Problem, problem_type
from app.http.spool import Spool, Spooled
from app.ports.security import Principal
from app.shares import Share

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

# Uvicorn and the system take less than this at once, whatever the client does.
_SMALL_BYTES = 64 * 1024
_PIECE_BYTES = 256 * 1024
# A piece that waits for the client, and another one with the server.
_STREAM_BYTES = 2 * _PIECE_BYTES
_SHARE_OF_ONE = 4

ABORT = "postline.abort"
"""The extension of the ASGI scope with the function that closes the connection at once."""

_HELD = "postline.held"


@dataclass(frozen=True)
class AnswerPolicy:
    """How long a large answer waits for its client. Times are in seconds.

    A database connection waits for `patience` in all; then the rest is spooled. If the spool has no room, it waits on,
    but is taken from the client after `patience_without_room` if others need one.

    A client may take `grace`, and beyond that as long as it needs at `least_rate` bytes a second.
    """

    patience: float = 0.25
    patience_without_room: float = 10
    grace: float = 60
    least_rate: int = 32 * 1024


def hold_until_answered(scope: Scope, held: AbstractContextManager[object]) -> None:
    """Enter the context, and leave it when the answer to the request has been sent or the client is gone."""
    state = cast("dict[str, Any]", scope)
    stack: ExitStack = state.setdefault(_HELD, ExitStack())
    stack.enter_context(held)


class LargeAnswers:
    """Sends large answers piece by piece, as the client takes them.

    An answer that is whole waits in memory, at most `max_memory` bytes of all, and beyond that in the spool. One that
    is read in parts is read ahead into the spool if the client is slow. One account has a quarter of either; without an
    account, one client address. What is beyond is refused.

    A client that takes too little, on the average, is cut off.
    """

    def __init__(
        self, folder: Path, *, max_memory: int, max_spool: int, max_snapshots: int, policy: AnswerPolicy
    ) -> None:
        self.memory = Share("bytes of answers", per_key=max_memory // _SHARE_OF_ONE, total=max_memory)
        self.spool = Spool(folder, max_bytes=max_spool)
        self._max_snapshots = max_snapshots
        self._policy = policy
        self._reading = set[_ReadAhead]()

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Return the application with its large answers sent in this way."""

        def serve(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            if scope["type"] == ScopeType.HTTP:
                return self._serve(app, scope, receive, send)
            return app(scope, receive, send)

        return serve

    def admit(self, scope: Scope) -> None:
        """Count an answer that is read in parts, until it is sent. Call it before the database is read.

        Raises:
            TooManyRequests: The account's share of such answers is used up.
            Overloaded: All of it is used up.
        """
        hold_until_answered(scope, self.memory.hold(_key(scope), _STREAM_BYTES))
        if len(self._reading) >= self._max_snapshots:
            slowest = max(self._reading, key=lambda reading: reading.waited)
            if slowest.waited > self._policy.patience_without_room:
                slowest.abort()

    async def read_ahead(self, scope: Scope, chunks: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
        """Yield the chunks' bytes in pieces. The chunks are read to their end whether the client takes them or not."""
        pace = _Pace(_abort(scope), self._policy)
        reading = _ReadAhead(chunks, self.spool.open(_key(scope)), pace.abort, self._policy.patience)
        self._reading.add(reading)
        reader = asyncio.create_task(reading.fill())
        reader.add_done_callback(lambda _: self._reading.discard(reading))
        try:
            while (piece := await pace.excuse(reading.take())) is not None:
                yield piece
                pace.count(len(piece))
        finally:
            pace.stop()
            reader.cancel()
            reading.spooled.close()

    async def _serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        start: HTTPResponseStartEvent | None = None
        # The only reference to a large body, once the application has returned.
        large: list[bytes] = []

        async def send_if_small(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start is not None and message["type"] == "http.response.body":
                if len(message["body"]) > _SMALL_BYTES and not message["more_body"]:
                    large.append(message["body"])
                    return
                head, start = start, None
                await send(head)
            await send(message)

        try:
            await app(scope, receive, send_if_small)
            if start is not None and large:
                await self._send_large(scope, start, large.pop(), send)
            elif start is not None:
                await send(start)
        finally:
            held: ExitStack | None = cast("dict[str, Any]", scope).pop(_HELD, None)
            if held is not None:
                held.close()

    async def _send_large(self, scope: Scope, start: HTTPResponseStartEvent, body: bytes, send: Send) -> None:
        key, size = _key(scope), len(body)
        with ExitStack() as stack:
            spooled: Spooled | None = None
            if not self.memory.has_room(key, size):
                spooled = self.spool.open(key)
                stack.callback(spooled.close)
                if not await spooled.write(body):
                    spooled = None
            if spooled is not None:
                pieces = _spooled_pieces(spooled)
                del body
            else:
                try:
                    stack.enter_context(self.memory.hold(key, size))
                except DomainError as error:
                    await _refuse(start, error, send)
                    return
                pieces = _pieces_of(body)
            pace = _Pace(_abort(scope), self._policy)
            stack.callback(pace.stop)
            await send(start)
            async for piece in pieces:
                size -= len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": size > 0})
                pace.count(len(piece))


class _ReadAhead:
    """Chunks that are read ahead of a client. `waited` is how long, in seconds, they have waited for it."""

    def __init__(
        self, chunks: AsyncGenerator[bytes], spooled: Spooled, abort: Callable[[], None], patience: float
    ) -> None:
        self._patience = patience
        self.spooled = spooled
        self.abort = abort
        self._chunks = chunks
        # The next piece; what follows it is in the spool.
        self._next: bytes | None = None
        self._produced, self._taken = asyncio.Event(), asyncio.Event()
        self._is_complete = False
        self._failure: Exception | None = None
        self._waited = 0.0
        self._waits_since: float | None = None

    @property
    def waited(self) -> float:
        waits = 0.0 if self._waits_since is None else asyncio.get_running_loop().time() - self._waits_since
        return self._waited + waits

    async def fill(self) -> None:
        """Read the chunks to their end."""
        try:
            # Closed here, and so the database connection is given back, also if the client has left.
            async with aclosing(self._chunks):
                async for piece in _even(self._chunks):
                    await self._put(piece)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client's side raises it
            self._failure = error
        finally:
            self._is_complete = True
            self._produced.set()

    async def take(self) -> bytes | None:
        """Return the next piece, or `None` after the last.

        Raises:
            Exception: The chunks could not be read.
        """
        while self._next is None and not self.spooled.unread:
            if self._failure is not None:
                raise self._failure
            if self._is_complete:
                return None
            self._produced.clear()
            await self._produced.wait()
        if self._next is not None:
            piece, self._next = self._next, None
        else:
            piece = await self.spooled.read(_PIECE_BYTES)
        self._taken.set()
        return piece

    async def _put(self, piece: bytes) -> None:
        while True:
            self._taken.clear()
            if self._next is None and not self.spooled.unread:
                self._next = piece
                break
            patience = self._patience - self._waited
            if patience > 0:
                await self._wait(patience)
            elif await self.spooled.write(piece):
                break
            else:
                await self._wait(None)
        self._produced.set()

    async def _wait(self, patience: float | None) -> None:
        """Wait until the client takes something."""
        loop = asyncio.get_running_loop()
        self._waits_since = loop.time()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._taken.wait()
        self._waited, self._waits_since = self.waited, None


class _Pace:
    """Closes the connection of a client that takes too little, on the average since the answer began."""

    def __init__(self, abort: Callable[[], None], policy: AnswerPolicy) -> None:
        self.abort = abort
        self._least_rate = policy.least_rate
        self._loop = asyncio.get_running_loop()
        self._due_at = self._loop.time() + policy.grace
        self._timer = self._loop.call_at(self._due_at, self._check)

    def count(self, taken: int) -> None:
        """Allow more time for what the client has taken."""
        self._due_at += taken / self._least_rate

    async def excuse(self, work: Awaitable[_Result]) -> _Result:
        """Await work of the service's own, which is not the client's time."""
        began = self._loop.time()
        try:
            return await work
        finally:
            self._due_at += self._loop.time() - began

    def stop(self) -> None:
        """Leave the client alone."""
        self._timer.cancel()

    def _check(self) -> None:
        if self._loop.time() < self._due_at:
            self._timer = self._loop.call_at(self._due_at, self._check)
        else:
            logger.info("a client took an answer too slowly, and was cut off")
            self.abort()


def _key(scope: Scope) -> Hashable:
    """Return whose share an answer is of: the account's, or else the client address's."""
    user: Principal | None = scope.get("user")
    if user is not None:
        return user.user_id
    client = scope.get("client")
    return None if client is None else client[0]


def _abort(scope: Scope) -> Callable[[], None]:
    extensions: Any = scope.get("extensions") or {}
    abort: Callable[[], None] = extensions.get(ABORT, {}).get("abort", _leave)
    return abort


def _leave() -> None:
    """Do nothing: this server has no way to close a connection from within an answer."""


async def _even(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the same bytes, small chunks together and large ones in pieces."""
    small = bytearray()
    async for chunk in chunks:
        if len(chunk) <= _SMALL_BYTES:
            small += chunk
            if len(small) <= _SMALL_BYTES:
                continue
            chunk = b""  # noqa: PLW2901 - it is among the small ones
        if small:
            yield bytes(small)
            small.clear()
        for begin in range(0, len(chunk), _PIECE_BYTES):
            yield chunk[begin : begin + _PIECE_BYTES]
    if small:
        yield bytes(small)


async def _pieces_of(body: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(body), _PIECE_BYTES):
        yield body[begin : begin + _PIECE_BYTES]


async def _spooled_pieces(spooled: Spooled) -> AsyncIterator[bytes]:
    while spooled.unread:
        yield await spooled.read(_PIECE_BYTES)


async def _refuse(start: HTTPResponseStartEvent, error: DomainError, send: Send) -> None:
    """Send a problem document in place of the answer that began so."""
    problem = Problem(type=problem_type(type(error)), title=error.title, status=error.status, detail=str(error))
    body = msgspec.json.encode(problem)
    headers = [
        (b"content-type", PROBLEM_MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        *((name.lower().encode(), value.encode()) for name, value in error.headers.items()),
        *(header for header in start["headers"] if header[0].startswith(b"access-control-")),
    ]
    refusal: HTTPResponseStartEvent = {"type": "http.response.start", "status": error.status, "headers": headers}
    await send(refusal)
    await send({"type": "http.response.body", "body": body, "more_body": False})
