"""Reacts to SIGTERM and SIGINT before the server begins to wait for its connections to close."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def called_on_stop_signals(callback: Callable[[], None]) -> Iterator[None]:
    """Call back in the event loop on SIGTERM or SIGINT, besides the server's own handler.

    On a signal, the server first waits for open answers and then shuts the application down. So an answer that never
    ends by itself, such as a feed, must be ended from here.
    """
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(callback)
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    try:
        for number, handler in before.items():
            if callable(handler):
                signal.signal(number, handle)
    except ValueError:
        # Signal handlers need the main thread. A loop in another thread is stopped without signals.
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
