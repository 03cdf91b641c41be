"""HTTP/1.1 with clients that may never finish what they begin."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.http.problems import BLANK, PROBLEM_MEDIA_TYPE, Problem

_HEAD_BYTES = 65_536
# What a byte of a body may bring along besides itself: a chunk of one byte takes five more.
_FRAMING = 8
_FILLING_SECONDS = 0.1


@dataclass(frozen=True)
class Deadlines:
    """How long, in seconds, a client may take for a head, for a body, and to take anything of an answer."""

    head: float = 10
    body: float = 60
    stalled: float = 60


class _Parser(httptools.HttpRequestParser):
    """Goes on in HTTP/1.1 where a client offers to speak something else (RFC 9110, section 7.8)."""

    def __init__(self, protocol: "BoundedProtocol") -> None:
        super().__init__(protocol)
        self._protocol = protocol
        # As uvicorn sets its own.
        self.set_dangerous_leniencies(lenient_data_after_close=True)

    def feed_data(self, data: Any) -> None:
        """Parse what was received."""
        parser, rest = self, memoryview(data)
        while rest:
            try:
                httptools.HttpRequestParser.feed_data(parser, rest)
            except httptools.HttpParserUpgrade as offer:
                if not parser.has_offer():
                    raise
                # The body was taken for the beginning of the other protocol, and this parser for done with.
                rest = rest[offer.args[0] :]
                head = self._protocol.head_without_offer()
                parser = self._protocol.parser = _Parser(self._protocol)
                httptools.HttpRequestParser.feed_data(parser, head)
            else:
                return

    def has_offer(self) -> bool:
        """Return whether the request that is being parsed offers another protocol."""
        return self.should_upgrade() and self.get_method() != b"CONNECT"


class BoundedProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, which closes a connection on which too much is sent, or too slowly.

    The head of a request may have 64 KiB, or as much more as one read brings, and takes ten seconds at most, also the
    first on a connection; its body takes a minute. What comes besides the body, in chunks' heads and trailers, is
    bounded as the head is. A client that takes nothing of an answer is waited for as long as for a body. The body's
    size is for the application to bound, and so is how long an answer takes.
    """

    deadlines: ClassVar[Deadlines] = Deadlines()
    parser: _Parser  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.parser = _Parser(self)
        self._framing_bytes = 0
        # How long what is still to come of a request may take, and what the timer runs for.
        self._patience: float | None = self.deadlines.head
        self._timed: float | None = None
        self._arrival: asyncio.TimerHandle | None = None
        self._departure: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See the protocol."""
        super().connection_made(transport)
        self._time_arrival()

    def data_received(self, data: bytes) -> None:
        """See the protocol."""
        self._framing_bytes += len(data)
        if self._patience is None and (self.cycle is None or self.cycle.response_complete):
            # An empty line begins no request, but ends the time in which one may begin.
            self._patience = self.deadlines.head
        super().data_received(data)
        if self._framing_bytes > _HEAD_BYTES:
            self.transport.abort()
        # A request that comes in one piece starts no timer.
        if self._patience != self._timed:
            self._time_arrival()

    def on_message_begin(self) -> None:
        """See the protocol."""
        super().on_message_begin()
        self._patience = self.deadlines.head

    def on_headers_complete(self) -> None:
        """See the protocol."""
        if self.parser.has_offer():
            return
        if self.parser.get_http_version() == "1.1" and [name for name, _ in self.headers].count(b"host") != 1:
            raise ValueError("a request names one host (RFC 9112, section 3.2)")
        super().on_headers_complete()
        # Trailers go nowhere: they are no part of the head (RFC 9110, section 6.5.1).
        self.headers = []
        self._framing_bytes, self._patience = 0, self.deadlines.body

    def on_body(self, body: bytes) -> None:
        """See the protocol."""
        super().on_body(body)
        self._framing_bytes = max(0, self._framing_bytes - _FRAMING * len(body))

    def on_message_complete(self) -> None:
        """See the protocol."""
        if self.parser.has_offer():
            return
        super().on_message_complete()
        self._framing_bytes, self._patience = 0, None

    def head_without_offer(self) -> bytes:
        """Return the head that was received, without what offers another protocol."""
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, unless something before it is still to be answered, and close the connection."""
        if self.cycle is not None and not (self.cycle.more_body or self.cycle.response_complete):
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        status = HTTPStatus.BAD_REQUEST
        problem = Problem(type=BLANK, title=status.phrase, status=status, detail=msg)
        head = f"HTTP/1.1 {status} {status.phrase}\r\ncontent-type: {PROBLEM_MEDIA_TYPE}\r\nconnection: close\r\n"
        body = msgspec.json.encode(problem)
        self.transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        self.transport.close()

    def pause_writing(self) -> None:
        """See the protocol."""
        super().pause_writing()
        # What the system takes at once, to keep it for the client, says nothing of the client.
        self._departure = self.loop.call_later(_FILLING_SECONDS, self._time_departure)

    def resume_writing(self) -> None:
        """See the protocol."""
        super().resume_writing()
        if self._departure is not None:
            self._departure.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """See the protocol."""
        super().connection_lost(exc)
        for timer in (self._arrival, self._departure):
            if timer is not None:
                timer.cancel()

    def _time_arrival(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
        self._timed = self._patience
        self._arrival = None if self._timed is None else self.loop.call_later(self._timed, self.transport.abort)

    def _time_departure(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._departure = self.loop.call_later(self.deadlines.stalled, self._end_unless_less_is_left, left)

    def _end_unless_less_is_left(self, before: int) -> None:
        if self.transport.get_write_buffer_size() < before:
            self._time_departure()
        else:
            self.transport.abort()
