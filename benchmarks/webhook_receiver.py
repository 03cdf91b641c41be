"""A receiver of webhooks that answers at once."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import cast

import uvloop
from typing_extensions import override

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
_WAIT_SECONDS = 60


class Receiver:
    """Counts requests. `body` is the newest one's, and `last_at` when it came."""

    def __init__(self) -> None:
        self.url = ""
        self.body = ""
        self.last_at = 0.0
        self._count = 0
        self._has_new = threading.Condition()

    def received(self, body: str) -> None:
        """Count a request."""
        with self._has_new:
            self._count += 1
            self.body, self.last_at = body, monotonic()
            self._has_new.notify_all()

    def reset(self) -> None:
        """Count from zero."""
        with self._has_new:
            self._count = 0

    def wait_for(self, count: int) -> None:
        """Wait until so many requests have come.

        Raises:
            AssertionError: They did not come in time.
        """
        with self._has_new:
            assert self._has_new.wait_for(lambda: self._count >= count, _WAIT_SECONDS), f"{self._count} of {count} came"


class _Protocol(asyncio.Protocol):
    """Reads requests that come one after another on a connection."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._read = b""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no `asyncio.Transport` by class.
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, body = self._read.partition(b"\r\n\r\n")
        if not end:
            return
        (length,) = [int(line.split(b":")[1]) for line in head.lower().splitlines() if line.startswith(b"content-le")]
        if len(body) == length:
            self._read = b""
            self._receiver.received(body.decode())
            self._transport.write(_ANSWER)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver on a free port of this machine."""
    receiver = Receiver()
    is_ready = threading.Event()
    loop = uvloop.new_event_loop()

    async def serve() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        await loop.create_server(lambda: _Protocol(receiver), sock=listener)
        receiver.url = f"http://127.0.0.1:{listener.getsockname()[1]}/hook"
        is_ready.set()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    is_ready.wait()
    try:
        yield receiver
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
