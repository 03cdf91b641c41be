"""Sends webhooks, as the Standard Webhooks specification has it (standardwebhooks.com)."""

import asyncio
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
from app.delivery.webhook_client import WebhookClient
from app.delivery.webhook_queue import LeaseLost, WebhookQueue
from events.types import DeliveriesQueued
from events.waiting import backoff, wait_for
from models import Webhook, WebhookDelivery
from models.columns import now
from models.webhook import EXCERPT_LENGTH

logger = logging.getLogger(__name__)

MAX_CONCURRENT = 200


@dataclass(frozen=True)
class SenderPolicy:
    """The timeouts and retries of the sender. Times are in seconds.

    The sender polls every `poll` for deliveries that it was not woken for. A failed attempt is retried with exponential
    backoff and jitter, from `first_delay` to `longest_delay`. A webhook whose attempts fail for `give_up` is disabled.
    After `turn`, a webhook makes room for others that wait.
    """

    poll: float = 1
    first_delay: float = 5
    longest_delay: float = 3600
    give_up: float = 86_400
    turn: float = 30

    def delay(self, attempts: int) -> timedelta:
        """Return the delay before the next attempt, after so many failures."""
        return backoff(attempts, first=self.first_delay, longest=self.longest_delay)


class WebhookSender:
    """Sends the deliveries of each webhook in order, and those of different webhooks concurrently."""

    def __init__(self, queue: WebhookQueue, client: WebhookClient, policy: SenderPolicy) -> None:
        self._queue = queue
        self._client = client
        self._policy = policy
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()

    async def on_queued(self, _: DeliveriesQueued) -> None:
        """Check for new deliveries at once."""
        self._woken.set()

    async def run(self) -> None:
        """Send until stopped, then finish the attempts that have begun."""
        sending: set[asyncio.Task[None]] = set()
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                claimed = await self._queue.claim(MAX_CONCURRENT - len(sending))
            except Exception as error:  # noqa: BLE001 - whatever it was, the next time may go well
                logger.warning("webhook deliveries could not be claimed: %s", type(error).__name__)
                claimed = []
            sending |= {asyncio.create_task(self._send_pending(webhook)) for webhook in claimed}
            if len(sending) < MAX_CONCURRENT:
                await wait_for(self._woken, timeout=self._policy.poll)
            else:
                await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
            sending = {task for task in sending if not task.done()}
        if sending:
            await asyncio.wait(sending)

    def stop(self) -> None:
        """Let `run` end after the attempts that have begun."""
        self._stopping.set()
        self._woken.set()

    async def _send_pending(self, webhook: Webhook) -> None:
        try:
            turn_ends_at = time.monotonic() + self._policy.turn
            while True:
                for delivery in await self._queue.pending(webhook):
                    if self._stopping.is_set() or time.monotonic() > turn_ends_at:
                        await self._queue.hand_over(webhook)
                        return
                    if not await self._attempt(webhook, delivery):
                        return
                if await self._queue.finish(webhook):
                    return
        except LeaseLost:
            return
        except Exception as error:  # noqa: BLE001 - the lease expires, and another attempt follows
            logger.warning("deliveries of webhook %s could not be sent: %s", webhook.id, type(error).__name__)

    async def _attempt(self, webhook: Webhook, delivery: WebhookDelivery) -> bool:
        """Send one delivery, store the outcome, and return whether it succeeded."""
        body = msgspec.json.encode({"type": delivery.type, "timestamp": delivery.occurred_at, "data": delivery.data})
        status: int | None = None
        try:
            status, raw = await self._client.post(webhook.url, _headers(webhook, delivery, body), body)
            excerpt = "".join(c if c.isprintable() else " " for c in raw.decode(errors="replace"))[:EXCERPT_LENGTH]
        except ForbiddenDestination as error:
            excerpt = str(error)
        except TimeoutError:
            excerpt = "no answer in time"
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            excerpt = f"no answer: {type(error).__name__}"
        if status is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            await self._queue.delivered(webhook, delivery, status, excerpt)
            return True
        reason = self._reason_to_disable(webhook, status)
        if reason is not None:
            await self._queue.disabled(webhook, delivery, status, excerpt, reason)
        else:
            retry_at = now() + self._policy.delay(webhook.attempts + 1)
            await self._queue.failed(webhook, delivery, status, excerpt, retry_at)
        return False

    def _reason_to_disable(self, webhook: Webhook, status: int | None) -> str | None:
        if status == HTTPStatus.GONE:
            return "The receiver answered 410 Gone."
        since = webhook.failing_since
        if since is not None and (now() - since).total_seconds() >= self._policy.give_up:
            return f"Every attempt has failed since {since:%Y-%m-%dT%H:%M:%SZ}."
        return None


def _headers(webhook: Webhook, delivery: WebhookDelivery, body: bytes) -> dict[str, str]:
    message_id = f"msg_{webhook.id.hex}_{delivery.version}"
    timestamp = str(int(time.time()))
    key = base64.b64decode(webhook.secret.removeprefix("whsec_"))
    signature = base64.b64encode(hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, "sha256")).decode()
    return {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "accept-encoding": "identity",
        "user-agent": "Postline",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }
