"""Litestar's `@listener` as an extension point for domain events."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from litestar.events import SimpleEventEmitter

logger = logging.getLogger(__name__)


class TolerantEventEmitter(SimpleEventEmitter):
    """Litestar's emitter, but it accepts events without a listener and survives listeners that fail.

    Litestar's own raises on an event without a listener, and stops for good if a listener raises.
    """

    def emit(self, event_id: str, *args: Any, **kwargs: Any) -> None:
        """Call the event's listeners in the background, in no particular order. Failures are logged."""
        if self._send_stream is None:
            return
        for registered in self.listeners.get(event_id, ()):
            self._send_stream.send_nowait((_run_isolated, (registered.fn, event_id, args), kwargs))


async def _run_isolated(
    listener: Callable[..., Awaitable[None]], event_id: str, args: tuple[Any, ...], **kwargs: Any
) -> None:
    try:
        await listener(*args, **kwargs)
    except Exception:
        logger.exception("listener %r failed on %s", listener, event_id)
