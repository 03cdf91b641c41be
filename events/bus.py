"""The in-process event bus."""

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

EventT = TypeVar("EventT")
Listener = Callable[[EventT], Awaitable[None]]


class EventBus:
    """Tells listeners of events, by the event's class.

    The publisher waits for its listeners, which run one after the other in the order they subscribed: what a listener
    did is done when `publish` returns. Subscribe here what an answer depends on, and keep it quick; work that nobody
    waits for belongs to Litestar's own `@listener`.
    """

    def __init__(self) -> None:
        self._listeners: defaultdict[type[Any], list[Listener[Any]]] = defaultdict(list)

    def subscribe(self, event_type: type[EventT], listener: Listener[EventT]) -> None:
        """Call `listener` with every published event of this class or of one derived from it."""
        self._listeners[event_type].append(listener)

    async def publish(self, event: object) -> None:
        """Tell every listener of the event.

        A listener that raises is logged and takes nothing from the others or from the publisher.
        """
        for event_type, listeners in self._listeners.items():
            if not isinstance(event, event_type):
                continue
            for listener in listeners:
                try:
                    await listener(event)
                except Exception:  # whatever an extension raises stays its own
                    logger.exception("listener %r failed on %s", listener, type(event).__name__)
