"""Uvicorn's HTTP/1.1 protocol, with bounds on size and time against slow and hostile clients."""

import asyncio
import re
import socket
import struct
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar, NoReturn

import httptools
import msgspec
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.http.hosts import host_name
from app.http.large_answers import ABORT
from app.http.large_bodies import BODY_TIME
from app.http.problems import BLANK, PROBLEM_MEDIA_TYPE, Problem
from app.settings import UNIX_SOCKET

_HEAD_BYTES = 65_536
# The framing that a byte of a body may bring: a chunk of one byte takes five more.
_FRAMING = 8
_FILLING_SECONDS = 0.1
_VERSIONS = {"1.0", "1.1"}
_ABSOLUTE_FORM = re.compile(rb"https?://([^/?#]*)([^#]*).*", re.IGNORECASE)


@dataclass(frozen=True)
class Deadlines:
    """How long, in seconds, a client may take for a head, for a body, and to take anything of an answer."""

    head: float = 10
    body: float = 60
    stalled: float = 60


class _Parser(httptools.HttpRequestParser):
    """Ignores a client's offer to upgrade to another protocol (RFC 9110, section 7.8)."""

    def __init__(self, protocol: "BoundedProtocol") -> None:
        super().__init__(protocol)
        self._protocol = protocol
        # As uvicorn configures its own parser.
        self.set_dangerous_leniencies(lenient_data_after_close=True)

    def feed_data(self, data: Any) -> None:
        """Parse what was received."""
        parser, rest = self, memoryview(data)
        while rest:
            try:
                httptools.HttpRequestParser.feed_data(parser, rest)
            except httptools.HttpParserUpgrade as upgrade:
                if not parser.offers_upgrade():
                    raise
                # This parser stops at the head, taking the body for the other protocol. A new one goes on.
                rest = rest[upgrade.args[0] :]
                head = self._protocol.head_without_upgrade()
                parser = self._protocol.parser = _Parser(self._protocol)
                httptools.HttpRequestParser.feed_data(parser, head)
            else:
                return

    def offers_upgrade(self) -> bool:
        """Return whether the request offers to upgrade to another protocol."""
        return self.should_upgrade() and self.get_method() != b"CONNECT"


class _Refused(Exception):
    """The request's head breaks the protocol, or needs what this server does not implement."""


def _reset(transport: asyncio.Transport) -> None:
    """Close the connection so that the client sees an error, not the end of a body."""
    if not _is_unix_socket(transport):
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


def _is_unix_socket(transport: asyncio.Transport) -> bool:
    return bool(transport.get_extra_info("socket").family == socket.AF_UNIX)


class _UnframedAnswer:
    """Answers a client of HTTP/1.0, which knows no chunks: the end of the connection ends a body of unknown length.

    See RFC 9112, section 6.3. A body that breaks off resets the connection, so that the client can tell.
    """

    def __init__(self, app: Any, cycle: RequestResponseCycle) -> None:
        self._app = app
        self._cycle = cycle
        self._is_unframed = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""

        async def send_unframed(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._is_unframed = all(name.lower() != b"content-length" for name, _ in message["headers"])
                if self._is_unframed:
                    self._cycle.chunked_encoding = False
            elif self._is_unframed:
                # Uvicorn compares what is sent with it.
                self._cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, send_unframed)
        finally:
            if self._is_unframed and not self._cycle.response_complete:
                _reset(self._cycle.transport)


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection on which too much is sent, or too slowly.

    `deadlines` bounds the time for a head, also for the first on a connection, for a body, and for a client that takes
    nothing of an answer. A head may have 64 KiB, or as much more as one read brings; the framing of a body, its chunk
    headers and trailers, is bounded alike. The application bounds the size of a body and the time of an answer, and may
    take over the time of a body (`BODY_TIME`).
    """

    deadlines: ClassVar[Deadlines] = Deadlines()
    parser: _Parser  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.parser = _Parser(self)
        self._framing_bytes = 0
        self._refusal = HTTPStatus.BAD_REQUEST
        # The timeout for the rest of the request, and the one that the timer was started with.
        self._timeout: float | None = self.deadlines.head
        self._timed: float | None = None
        self._arrival: asyncio.TimerHandle | None = None
        self._departure: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.client is None and _is_unix_socket(transport):
            # So TRUSTED_PROXIES can name it. Without a name, uvicorn trusts nobody there.
            self.client = (UNIX_SOCKET, 0)
        self._time_arrival()

    @override
    def data_received(self, data: bytes) -> None:
        self._framing_bytes += len(data)
        if self._timeout is None and (self.cycle is None or self.cycle.response_complete):
            # An empty line does not begin a request, but the head is due from now on.
            self._timeout = self.deadlines.head
        super().data_received(data)
        if self._framing_bytes > _HEAD_BYTES:
            self.transport.abort()
        # A request that arrives in one piece starts no timer.
        if self._timeout != self._timed:
            self._time_arrival()

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: {"abort": self.transport.abort}, BODY_TIME: {"limit": self._limit_body_time}}
        self._timeout = self.deadlines.head

    @override
    def on_headers_complete(self) -> None:
        if self.parser.offers_upgrade():
            return
        self._check_head()
        super().on_headers_complete()
        # Trailers are ignored: they are not part of the head (RFC 9110, section 6.5.1).
        self.headers = []
        self._framing_bytes, self._timeout = 0, self.deadlines.body

    @override
    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._framing_bytes = max(0, self._framing_bytes - _FRAMING * len(body))

    @override
    def on_message_complete(self) -> None:
        if self.parser.offers_upgrade():
            return
        super().on_message_complete()
        self._framing_bytes, self._timeout = 0, None

    def head_without_upgrade(self) -> bytes:
        """Return the received head without its `Upgrade` header."""
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    @override
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if cycle.scope["http_version"] == "1.0":
            app = _UnframedAnswer(app, cycle)
        super()._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        """Refuse malformed HTTP and close the connection, after the answers that are still due.

        The status is 400, unless it is the version or the transfer coding that this server does not know.
        """
        if self.cycle is not None and not (self.cycle.more_body or self.cycle.response_complete):
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        status = self._refusal
        problem = Problem(type=BLANK, title=status.phrase, status=status, detail=msg)
        head = f"HTTP/1.1 {status} {status.phrase}\r\ncontent-type: {PROBLEM_MEDIA_TYPE}\r\nconnection: close\r\n"
        body = msgspec.json.encode(problem)
        self.transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        self.transport.close()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        # The system's own buffer takes data at once, whatever the client does.
        self._departure = self.loop.call_later(_FILLING_SECONDS, self._time_departure)

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        if self._departure is not None:
            self._departure.cancel()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._arrival, self._departure):
            if timer is not None:
                timer.cancel()

    def _check_head(self) -> None:
        version = self.parser.get_http_version()
        if version not in _VERSIONS:
            self._refuse(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
        # Whitespace after a value is not part of it (RFC 9110, section 5.5), but the parser keeps it.
        self.headers[:] = [(name, value.rstrip(b" \t")) for name, value in self.headers]
        names = [name for name, _ in self.headers]
        # RFC 9112, section 3.2. Clients of HTTP/1.0 need not name a host.
        hosts = names.count(b"host")
        if hosts > 1 or (hosts == 0 and version != "1.0"):
            self._refuse(HTTPStatus.BAD_REQUEST)
        if b"transfer-encoding" in names:
            self._check_transfer_encoding(version)
        if version == "1.0":
            # Such a client knows no interim answer (RFC 9110, section 10.1.1).
            self.expect_100_continue = False
        if not self.url.startswith((b"/", b"*")):
            self._take_host_from_target()

    def _check_transfer_encoding(self, version: str) -> None:
        # A proxy in front may know no chunks in HTTP/1.0, and so see another body (RFC 9112, section 6.1).
        if version == "1.0":
            self._refuse(HTTPStatus.BAD_REQUEST)
        codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        if codings != [b"chunked"]:
            self._refuse(HTTPStatus.NOT_IMPLEMENTED)

    def _take_host_from_target(self) -> None:
        """Replace `Host` by the host of a target in absolute form (RFC 9112, section 3.2.2)."""
        target = _ABSOLUTE_FORM.fullmatch(self.url)
        if target is None or not host_name(target[1].decode("latin-1")):
            self._refuse(HTTPStatus.BAD_REQUEST)
        self.headers[:] = [header for header in self.headers if header[0] != b"host"] + [(b"host", target[1])]
        self.url = target[2] if target[2].startswith(b"/") else b"/" + target[2]

    def _limit_body_time(self, *, is_limited: bool) -> None:
        """Time the rest of the body, or leave that to the application, if it is still the one that arrives."""
        if self.cycle.more_body and not self.pipeline:
            self._timeout = self.deadlines.body if is_limited else None
            self._time_arrival()

    def _refuse(self, status: HTTPStatus) -> NoReturn:
        self._refusal = status
        raise _Refused(status.phrase)

    def _time_arrival(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
        self._timed = self._timeout
        self._arrival = None if self._timed is None else self.loop.call_later(self._timed, self.transport.abort)

    def _time_departure(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._departure = self.loop.call_later(self.deadlines.stalled, self._abort_unless_less_is_left, left)

    def _abort_unless_less_is_left(self, before: int) -> None:
        if self.transport.get_write_buffer_size() < before:
            self._time_departure()
        else:
            self.transport.abort()
