"""Sends webhooks, as the Standard Webhooks specification has it (standardwebhooks.com)."""

import base64
import hmac
import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

import httpcore
import msgspec

from app.delivery.destinations import ForbiddenDestination
from app.delivery.host_lookup import LocalResourcesExhausted
from app.delivery.leases import LeaseLost
from app.delivery.queue_worker import QueueWorker
from app.delivery.receiver_connections import AnswerTooLong
from app.delivery.webhook_client import WebhookClient
from app.delivery.webhook_queue import Attempt, WebhookQueue
from app.shares import Share
from events.failures import RepeatedFailure
from events.types import DeliveriesQueued
from events.waiting import backoff
from models import DeliveryStatus, Webhook, WebhookDelivery
from models.columns import now
from models.webhook import EXCERPT_LENGTH, TEST_TYPE

logger = logging.getLogger(__name__)

MAX_CONCURRENT = 200
MAX_CONCURRENT_PER_USER = 4
# Of those whose last attempt was not answered quickly, or who had none yet.
MAX_CONCURRENT_UNPROVEN = MAX_CONCURRENT // 2

_MAY_SAY_WHEN = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


def sends() -> Share:
    """Return the share of a user in what one process sends at once."""
    return Share("webhook sends", per_key=MAX_CONCURRENT_PER_USER, total=MAX_CONCURRENT)


@dataclass(frozen=True)
class SenderPolicy:
    """The timeouts and retries of the sender. Times are in seconds.

    The sender polls every `poll` for deliveries that it was not woken for. A failed attempt is retried with exponential
    backoff and jitter, from `first_delay` to `longest_delay`, or when the receiver asks for it, if that is later, up to
    `longest_retry_after`. A webhook whose attempts fail for `give_up` is disabled. After `turn`, a webhook makes room
    for others that wait: after `short_turn` where its user's share, or all that can be sent at once, is used up. A
    receiver that answers within `quick` answers quickly.

    Deliveries that succeed are stored together, `max_unstored` at most, once in `store_every`. That many are delivered
    twice if the process is killed, and for so long a webhook may be sent to that was changed or deleted meanwhile.
    """

    poll: float = 1
    first_delay: float = 5
    longest_delay: float = 3600
    give_up: float = 3 * 86_400
    longest_retry_after: float = 86_400
    turn: float = 30
    short_turn: float = 1
    quick: float = 3
    max_unstored: int = 50
    store_every: float = 0.25

    def delay(self, attempts: int, retry_after: float | None = None) -> timedelta:
        """Return the delay before the next attempt, after so many failures."""
        own = backoff(attempts, first=self.first_delay, longest=self.longest_delay)
        return max(own, timedelta(seconds=min(retry_after or 0, self.longest_retry_after)))


class WebhookSender:
    """Sends the deliveries of each webhook in order, and those of different webhooks concurrently.

    A user's webhooks take at most their share of it, and those that have not answered quickly the last time share a
    part of it. So receivers that are slow, or that nobody finds, delay no others than their own user's and each other.
    """

    def __init__(self, queue: WebhookQueue, client: WebhookClient, sends: Share, policy: SenderPolicy) -> None:
        self._queue = queue
        self._client = client
        self._sends = sends
        self._policy = policy
        self._unproven = 0
        self._sending = RepeatedFailure(logger, "sending the deliveries of a webhook")
        self._worker = QueueWorker(
            "webhook deliveries", self._claim, self._send, max_concurrent=sends.total, poll=policy.poll
        )

    async def on_queued(self, _: DeliveriesQueued) -> None:
        """Check for new deliveries at once."""
        self._worker.wake()

    async def run(self) -> None:
        """Send until stopped, then finish the attempts that have begun."""
        await self._worker.run()

    def stop(self) -> None:
        """Let `run` end after the attempts that have begun."""
        self._worker.stop()

    async def _claim(self, limit: int) -> list[Webhook]:
        return await self._queue.claim(
            limit,
            sending=self._sends.held,
            per_user=self._sends.per_key,
            unproven=MAX_CONCURRENT_UNPROVEN - self._unproven,
        )

    async def _send(self, webhook: Webhook) -> None:
        """Send what is pending, and hold a part of the user's share until that is done."""
        is_unproven = not webhook.answers_quickly
        self._unproven += is_unproven
        try:
            with self._sends.hold(webhook.account):
                await self._take_turn(webhook)
                if self._is_crowded(webhook) or self._unproven >= MAX_CONCURRENT_UNPROVEN:
                    # Others may have waited for this.
                    self._worker.wake()
        except LeaseLost:
            return
        except Exception as error:  # noqa: BLE001 - the lease expires, and another attempt follows
            self._sending.failed(error)
        else:
            self._sending.succeeded()
        finally:
            self._unproven -= is_unproven

    def _is_crowded(self, webhook: Webhook) -> bool:
        """Return whether the user's share, or all that can be sent at once, is used up."""
        return self._sends.held.get(webhook.account, 0) >= self._sends.per_key or self._sends.used >= self._sends.total

    async def _take_turn(self, webhook: Webhook) -> None:
        started_at = time.monotonic()
        while True:
            delivered: list[Attempt] = []
            stored_at = time.monotonic()
            for delivery in await self._queue.pending(webhook):
                turn = self._policy.short_turn if self._is_crowded(webhook) else self._policy.turn
                if self._worker.is_stopping or time.monotonic() - started_at > turn:
                    await self._queue.hand_over(webhook, delivered)
                    return
                try:
                    attempt, retry_after = await self._attempt(webhook, delivery)
                except LocalResourcesExhausted:
                    logger.warning("a webhook delivery is put off: no free file descriptors, ports or memory")
                    await self._queue.put_off(webhook, delivered, now() + self._policy.delay(1))
                    return
                delivered.append(attempt)
                if attempt.outcome is not DeliveryStatus.DELIVERED:
                    await self._store_failure(webhook, delivered, retry_after)
                    return
                if delivery.type != TEST_TYPE:
                    webhook.delivered_version = delivery.version
                    webhook.attempts, webhook.failing_since = 0, None
                if (
                    len(delivered) >= self._policy.max_unstored
                    or time.monotonic() - stored_at >= self._policy.store_every
                ):
                    await self._queue.delivered(webhook, delivered)
                    delivered, stored_at = [], time.monotonic()
            if await self._queue.finish(webhook, delivered):
                return

    async def _attempt(self, webhook: Webhook, delivery: WebhookDelivery) -> tuple[Attempt, float | None]:
        """Send one delivery, and return how it went, and the seconds after which the receiver asks to be called."""
        body = msgspec.json.encode({"type": delivery.type, "timestamp": delivery.occurred_at, "data": delivery.data})
        status: int | None = None
        retry_after: float | None = None
        started_at = time.monotonic()
        try:
            status, raw, retry_after = await self._client.post(webhook.url, _headers(webhook, delivery, body), body)
            excerpt = "".join(c if c.isprintable() else " " for c in raw.decode(errors="replace"))[:EXCERPT_LENGTH]
        except (ForbiddenDestination, AnswerTooLong) as error:
            excerpt = str(error)
        except TimeoutError:
            excerpt = "no answer in time"
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            excerpt = f"no answer: {type(error).__name__}"
        is_delivered = status is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
        webhook.answers_quickly = status is not None and time.monotonic() - started_at < self._policy.quick
        is_final = is_delivered or delivery.type == TEST_TYPE
        outcome = DeliveryStatus.PENDING
        if is_final:
            outcome = DeliveryStatus.DELIVERED if is_delivered else DeliveryStatus.FAILED
        return Attempt(delivery, outcome, status, excerpt), retry_after

    async def _store_failure(self, webhook: Webhook, attempts: list[Attempt], retry_after: float | None) -> None:
        """Store attempts of which the last one failed, and when the next one follows, if any."""
        failed = attempts[-1]
        asked = retry_after if failed.response_status in _MAY_SAY_WHEN else None
        if failed.delivery.type == TEST_TYPE:
            # What waits is not tried now, since the receiver has just shown that it is not ready.
            await self._queue.put_off(webhook, attempts, now() + self._policy.delay(max(webhook.attempts, 1), asked))
            return
        reason = self._reason_to_disable(webhook, failed.response_status)
        webhook.attempts += 1
        webhook.failing_since = webhook.failing_since or now()
        if reason is None:
            await self._queue.failed(webhook, attempts, now() + self._policy.delay(webhook.attempts, asked))
            return
        if webhook.user_id is None:
            logger.error("the operator's webhook %s was disabled: %s", webhook.id, reason)
        attempts[-1] = failed._replace(outcome=DeliveryStatus.FAILED)
        await self._queue.disabled(webhook, attempts, reason)

    def _reason_to_disable(self, webhook: Webhook, status: int | None) -> str | None:
        if status == HTTPStatus.GONE:
            return "The receiver answered 410 Gone."
        since = webhook.failing_since
        if since is not None and (now() - since).total_seconds() >= self._policy.give_up:
            return f"Every attempt has failed since {since:%Y-%m-%dT%H:%M:%SZ}."
        return None


def _headers(webhook: Webhook, delivery: WebhookDelivery, body: bytes) -> dict[str, str]:
    at = now()
    timestamp = str(int(at.timestamp()))
    signed = f"{delivery.message_id}.{timestamp}.".encode() + body
    return {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "accept-encoding": "identity",
        "user-agent": "Postline",
        "webhook-id": delivery.message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(secret, signed) for secret in webhook.secrets(at)),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return f"v1,{base64.b64encode(hmac.digest(key, signed, 'sha256')).decode()}"
