"""Hearing of the end before the server waits for its connections to close."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def called_on_stop_signals(callback: Callable[[], None]) -> Iterator[None]:
    """Call back in the event loop on SIGTERM or SIGINT, besides whatever the server does on them.

    A server that is told to stop waits for open answers before it tells the application, so an answer that never ends
    by itself has to hear of it here.
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
        # Not the main thread: whoever runs the loop there stops it without signals.
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
