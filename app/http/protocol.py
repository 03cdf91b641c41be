"""HTTP/1.1 with clients that may never finish what they begin."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD_BYTES = 65_536
_HEAD_SECONDS = 10
_BODY_SECONDS = 60
_STALLED_SECONDS = 60


class BoundedProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, which closes a connection on which too much is sent, or too slowly.

    The head of a request may have 64 KiB, or as much more as one read brings, and takes ten seconds at most, also the
    first on a connection; its body takes a minute. A client that stops reading an answer is waited for as long. The
    body's size is for the application to bound, and so is how long an answer takes.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._is_in_head = True
        self._head_bytes = 0
        # How long what is still to come of a request may take, and what the timer runs for.
        self._patience: float | None = _HEAD_SECONDS
        self._timed: float | None = None
        self._arrival: asyncio.TimerHandle | None = None
        self._departure: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See the protocol."""
        super().connection_made(transport)
        self._time_arrival()

    def data_received(self, data: bytes) -> None:
        """See the protocol."""
        super().data_received(data)
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES:
                self.transport.abort()
        # A request that comes in one piece starts no timer.
        if self._patience != self._timed:
            self._time_arrival()

    def on_message_begin(self) -> None:
        """See the protocol."""
        super().on_message_begin()
        self._is_in_head, self._head_bytes, self._patience = True, 0, _HEAD_SECONDS

    def on_headers_complete(self) -> None:
        """See the protocol."""
        super().on_headers_complete()
        self._is_in_head, self._patience = False, _BODY_SECONDS

    def on_message_complete(self) -> None:
        """See the protocol."""
        super().on_message_complete()
        self._patience = None

    def pause_writing(self) -> None:
        """See the protocol."""
        super().pause_writing()
        self._departure = self.loop.call_later(_STALLED_SECONDS, self.transport.abort)

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
