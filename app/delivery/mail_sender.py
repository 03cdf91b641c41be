"""Sends mails."""

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from app.delivery.leases import LeaseLost
from app.delivery.mail_queue import MailQueue
from app.delivery.mail_transports import MailTransport, NotSent
from app.delivery.queue_worker import QueueWorker
from events.types import MailsQueued
from events.waiting import backoff
from models import Mail
from models.columns import now

if TYPE_CHECKING:
    from app.delivery.mail_messages import MailMessages

logger = logging.getLogger(__name__)

_MAX_CONCURRENT = 4
_MARGIN_SECONDS = 10


@dataclass(frozen=True)
class MailPolicy:
    """The timeouts and retries of the sender. Times are in seconds.

    The sender polls every `poll` for mails that it was not woken for. A failed attempt is retried with exponential
    backoff and jitter, from `first_delay` to `longest_delay`, and given up when the mail is older than `give_up`. An
    attempt has ten seconds less than the `lease`, so that no other process begins one meanwhile.
    """

    poll: float = 1
    first_delay: float = 5
    longest_delay: float = 900
    give_up: float = 86_400
    lease: float = 40


class MailSender:
    """Sends the mails of the queue, a few concurrently."""

    def __init__(
        self, queue: MailQueue, messages: "MailMessages", transport: MailTransport, policy: MailPolicy
    ) -> None:
        self._queue = queue
        self._messages = messages
        self._transport = transport
        self._policy = policy
        self._worker = QueueWorker("mails", self._claim, self._send, max_concurrent=_MAX_CONCURRENT, poll=policy.poll)

    async def on_queued(self, _: MailsQueued) -> None:
        """Check for new mails at once."""
        self._worker.wake()

    async def run(self) -> None:
        """Send until stopped, then finish the attempts that have begun."""
        await self._worker.run()

    def stop(self) -> None:
        """Let `run` end after the attempts that have begun."""
        self._worker.stop()

    async def _claim(self, limit: int) -> list[Mail]:
        return await self._queue.claim(limit, timedelta(seconds=self._policy.lease))

    async def _send(self, mail: Mail) -> None:
        try:
            failure = await self._attempt(mail)
            if failure is None:
                await self._queue.remove(mail)
            elif failure.is_final or (now() - mail.created_at).total_seconds() >= self._policy.give_up:
                logger.error("a mail (%s) was given up: %s", mail.purpose, failure)
                await self._queue.give_up(mail, str(failure))
            else:
                logger.warning("a mail (%s) could not be sent and will be retried: %s", mail.purpose, failure)
                delay = backoff(mail.attempts + 1, first=self._policy.first_delay, longest=self._policy.longest_delay)
                await self._queue.failed(mail, str(failure), now() + delay)
        except LeaseLost:
            return
        except Exception as error:  # noqa: BLE001 - the lease expires, and another attempt follows
            logger.warning("a mail (%s) could not be sent: %s", mail.purpose, type(error).__name__)

    async def _attempt(self, mail: Mail) -> NotSent | None:
        """Send one mail, unless nobody is to get it, and return why it was not taken."""
        user = await self._queue.recipient(mail)
        if user is None:
            return None
        seconds = self._policy.lease - _MARGIN_SECONDS
        if mail.due_at is not None:
            seconds = min(seconds, (mail.due_at - now()).total_seconds() - _MARGIN_SECONDS)
        try:
            message = self._messages.compose(mail, user)
            done = await self._transport.send(message, f"{mail.purpose}-{mail.id.hex}", seconds)
        except NotSent as failure:
            return failure
        except Exception as error:  # noqa: BLE001 - one mail that can't be composed must not be tried without end
            return NotSent(type(error).__name__)
        if done is not None:
            logger.info(done)
        return None
