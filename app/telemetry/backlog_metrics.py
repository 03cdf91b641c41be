"""Metrics of backlogs that are stored in the database."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from app.database.engines import Database
from app.database.faults import FAULTS
from app.delivery.mail_queue import MailQueue, MailStatus
from app.delivery.outbox_inspection import ListenerStatus, OutboxInspection
from app.delivery.webhook_queue import WebhookQueue
from models.columns import now

_ANSWER_SECONDS = 2


class BacklogMetrics:
    """Reads backlogs from the database. They are the same for every process."""

    def __init__(self, database: Database, inspection: OutboxInspection, queue: WebhookQueue, mails: MailQueue) -> None:
        self._database = database
        self._inspection = inspection
        self._queue = queue
        self._mails = mails

    async def read(self) -> list[Metric]:
        """Return the metrics, or only `postline_database_up` 0 if the database does not answer within two seconds."""
        is_up = False
        found: list[Metric] = []
        with suppress(*FAULTS):
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._database.ping()
                is_up = True
                found += _of_listeners(await self._inspection.status())
                found.append(_of_deliveries(await self._queue.length()))
                found += _of_mails(await self._mails.status())
        return [GaugeMetricFamily("postline_database_up", "1 where the database answers.", is_up), *found]


def _of_deliveries(count: int) -> Metric:
    return GaugeMetricFamily(
        "postline_webhook_deliveries_pending", "Deliveries that webhooks are still to be told.", count
    )


def _of_mails(statuses: Sequence[MailStatus]) -> list[Metric]:
    waiting = GaugeMetricFamily("postline_mails_waiting", "Mails that are still to be sent.", labels=["purpose"])
    given_up = GaugeMetricFamily(
        "postline_mails_given_up", "Mails of the last days that could not be sent.", labels=["purpose"]
    )
    for one in statuses:
        waiting.add_metric([one.purpose], one.waiting)
        given_up.add_metric([one.purpose], one.given_up)
    return [waiting, given_up]


def _of_listeners(listeners: Sequence[ListenerStatus]) -> list[Metric]:
    return [
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
    ]


def _by_listener(
    listeners: Sequence[ListenerStatus], name: str, documentation: str, value: Callable[[ListenerStatus], float]
) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=["listener"])
    for one in listeners:
        family.add_metric([one.listener], value(one))
    return family
