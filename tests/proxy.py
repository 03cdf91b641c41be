"""A TCP proxy that hangs, delays, refuses or cuts what passes through it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Literal

from tests.e2e.server import free_port


class Proxy:
    """Passes bytes between its port and another, each time after `delay` seconds.

    Where it is told to hang, connections are taken and stay open, but nothing comes through until it is told to pass.
    If `cut` returns less than it is given, no more than that comes through, and the connection ends.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.delay = 0.0
        self.cut: Callable[[bytes], bytes] = lambda data: data
        self.does: Literal["pass", "hang", "refuse"] = "pass"
        self.started = threading.Event()
        self._target = target
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with await asyncio.start_server(self._connect, "127.0.0.1", self.port) as server:
            self.started.set()
            await self._stopped.wait()
            server.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Cancelled where the proxy stops.
        with closing(writer), suppress(OSError, asyncio.CancelledError):
            if self.does != "refuse":
                back, forth = await asyncio.open_connection("127.0.0.1", self._target)
                with closing(forth):
                    await asyncio.gather(self._pass(reader, forth), self._pass(back, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await asyncio.sleep(self.delay)
            while self.does == "hang":  # noqa: ASYNC110 - another thread decides
                await asyncio.sleep(0.02)
            if self.does == "refuse":
                break
            passed = self.cut(data)
            writer.write(passed)
            if len(passed) < len(data):
                break
        writer.close()


@contextmanager
def proxy_to(port: int) -> Iterator[Proxy]:
    """Yield a proxy to a local port."""
    proxy = Proxy(port)
    thread = threading.Thread(target=lambda: asyncio.run(proxy.run()))
    thread.start()
    proxy.started.wait()
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join()
