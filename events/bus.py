"""The in-process event bus."""

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

EventT = TypeVar("EventT")
Listener = Callable[[EventT], Awaitable[None]]


class EventBus:
    """Calls listeners with events, by the event's class.

    The publisher waits for the listeners, which are called one after the other in the order of their subscription: all
    have run when `publish` returns. Subscribe what an answer depends on, and keep it quick. Work that no request waits
    for belongs to Litestar's own `@listener`.
    """

    def __init__(self) -> None:
        self._listeners: defaultdict[type[Any], list[Listener[Any]]] = defaultdict(list)

    def subscribe(self, event_type: type[EventT], listener: Listener[EventT]) -> None:
        """Call `listener` with every published event of this class or of one derived from it."""
        self._listeners[event_type].append(listener)

    async def publish(self, event: object) -> None:
        """Call every listener of the event.

        If one raises, that is logged. The other listeners and the publisher are not affected.
        """
        for event_type, listeners in self._listeners.items():
            if not isinstance(event, event_type):
                continue
            for listener in listeners:
                try:
                    await listener(event)
                except Exception:  # a listener's failure must not fail the request
                    logger.exception("listener %r failed on %s", listener, type(event).__name__)
