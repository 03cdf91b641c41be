"""What waits in the database, as Prometheus reads it."""

import asyncio
from collections.abc import Callable, Sequence

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy.exc import SQLAlchemyError

from app.outbox_inspection import ListenerStatus, OutboxInspection
from app.webhook_queue import WebhookQueue
from models.columns import now

_ANSWER_SECONDS = 2


class BacklogMetrics:
    """Asks the database how much waits there, which is the same whichever process asks."""

    def __init__(self, inspection: OutboxInspection, queue: WebhookQueue) -> None:
        self._inspection = inspection
        self._queue = queue

    async def read(self) -> list[Metric]:
        """Return the numbers, within two seconds: of a database that does not answer, that it does not."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                listeners = await self._inspection.status()
                deliveries = await self._queue.length()
        except (SQLAlchemyError, OSError, TimeoutError):
            return [_up(0)]
        pending = GaugeMetricFamily(
            "postline_webhook_deliveries_pending", "Deliveries that webhooks are still to be told.", deliveries
        )
        return [
            _up(1),
            _by_listener(
                listeners,
                "postline_outbox_undelivered_events",
                "Stored events that a durable listener lacks.",
                lambda one: one.events,
            ),
            _by_listener(
                listeners,
                "postline_outbox_oldest_undelivered_seconds",
                "How long ago the oldest of those happened.",
                lambda one: 0 if one.since is None else (now() - one.since).total_seconds(),
            ),
            _by_listener(
                listeners,
                "postline_outbox_dead_letters",
                "Stored events that a durable listener failed on too often.",
                lambda one: one.dead,
            ),
            pending,
        ]


def _up(value: int) -> Metric:
    return GaugeMetricFamily("postline_database_up", "1 where the database answered what is asked here.", value)


def _by_listener(
    listeners: Sequence[ListenerStatus], name: str, documentation: str, value: Callable[[ListenerStatus], float]
) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=["listener"])
    for one in listeners:
        family.add_metric([one.listener], value(one))
    return family
