"""The relay: delivers stored events to durable listeners, at least once and in order per user."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from time import monotonic
from typing import NamedTuple, Protocol
from uuid import UUID

from events.failures import RepeatedFailure
from events.types import PostEvent
from events.waiting import backoff, wait_for

logger = logging.getLogger(__name__)

MAX_CONCURRENT_BATCHES = 4
_MAX_CONCURRENT_USERS = 8


@dataclass(frozen=True)
class DurableListener:
    """A listener whose progress is kept in the database, under `name` (at most 64 characters).

    `take` is called with events of one user, in the order of their versions. Events of several users may be delivered
    concurrently. If it raises or times out, the same events are delivered again later, and also after a crash: it must
    be idempotent. A listener with a new name starts, for each user, when their timeline next changes, with the oldest
    event that is kept. `litestar events replay` delivers the others.

    `choose`, if given, is called first, once for many users. It returns the users whose events matter to the listener;
    the events of the others count as delivered.
    """

    name: str
    take: Callable[[Sequence[PostEvent]], Awaitable[None]]
    choose: Callable[[Collection[UUID]], Awaitable[Collection[UUID]]] | None = None


class Backlog(NamedTuple):
    """A user's undelivered events after `version`, in order. Delivery of the first has failed `attempts` times."""

    user_id: UUID
    version: int
    attempts: int
    events: Sequence[PostEvent]


class Claim(NamedTuple):
    """Backlogs that no other process can claim meanwhile. If it is full, more users may be due."""

    backlogs: Sequence[Backlog]
    is_full: bool


class Taken(NamedTuple):
    """The listener took every event up to `version`."""

    backlog: Backlog
    version: int


class Failed(NamedTuple):
    """The listener failed. The same events are delivered again after `delay`."""

    backlog: Backlog
    error: str
    delay: timedelta


class GivenUp(NamedTuple):
    """The listener failed too often on its next event, which becomes a dead letter."""

    backlog: Backlog
    error: str


Outcome = Taken | Failed | GivenUp


class Due(IntEnum):
    """How much was due for a listener when it was last checked."""

    NOTHING = 0
    SOME = 1
    MORE_THAN_A_BATCH = 2


class Outbox(Protocol):
    """Where stored events wait for durable listeners."""

    def claim(self, listener: str) -> AbstractAsyncContextManager[Claim]:
        """Claim and yield backlogs of the listener that are due."""
        ...

    async def mark(self, listener: str, outcomes: Sequence[Outcome]) -> None:
        """Store the outcomes of claimed backlogs, all in one transaction."""

    async def mark_delivered(self) -> None:
        """Mark the users whose newest event every durable listener has taken as having nothing undelivered."""


@dataclass(frozen=True)
class RelayPolicy:
    """The timeouts and retries of a relay. Times are in seconds.

    The relay polls every `poll` for events that it was not woken for, and waits `gather` after a batch that was not
    full, so that a burst shares a batch. One call of a listener may take `timeout`. A failed delivery is retried with
    exponential backoff and jitter, from `first_delay` to `longest_delay`. After `attempts` it becomes a dead letter.
    """

    poll: float = 1
    gather: float = 0.5
    timeout: float = 10
    attempts: int = 12
    first_delay: float = 1
    longest_delay: float = 900

    def delay(self, attempts: int) -> timedelta:
        """Return the delay before the next attempt, after so many failures."""
        return backoff(attempts, first=self.first_delay, longest=self.longest_delay)


class Relay:
    """Delivers stored events to one durable listener. Any number of processes may run a relay for the same listener."""

    def __init__(self, listener: DurableListener, outbox: Outbox, policy: RelayPolicy) -> None:
        self._listener = listener
        self._outbox = outbox
        self._policy = policy
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._marked_at = 0.0
        self._failure = RepeatedFailure(logger, f"the delivery of events to {listener.name}")

    async def on_change(self, _: PostEvent) -> None:
        """Check for new events at once."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver until stopped, then finish the calls that have begun."""
        batches: set[asyncio.Task[Due]] = set()
        while not self._stopping.is_set():
            self._woken.clear()
            batches.add(asyncio.create_task(self._deliver_or_log()))
            # A call that hangs delays its own batch only.
            done, batches = await asyncio.wait(
                batches,
                timeout=self._policy.poll if len(batches) < MAX_CONCURRENT_BATCHES else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            due = max((batch.result() for batch in done), default=Due.NOTHING)
            if due is Due.MORE_THAN_A_BATCH:
                continue
            if due is Due.NOTHING:
                await wait_for(self._woken, timeout=self._policy.poll)
            await wait_for(self._stopping, timeout=self._policy.gather)
        if batches:
            await asyncio.wait(batches)

    def stop(self) -> None:
        """Let `run` end after the calls that have begun."""
        self._stopping.set()
        self._woken.set()

    async def deliver(self) -> Due:
        """Deliver one batch, and return how much was due."""
        turns = asyncio.Semaphore(_MAX_CONCURRENT_USERS)

        async def deliver_in_turn(backlog: Backlog) -> Outcome | None:
            if backlog.user_id not in chosen:
                return Taken(backlog, backlog.events[-1].version)
            async with turns:
                return None if self._stopping.is_set() else await self._deliver_to_listener(backlog)

        async with self._outbox.claim(self._listener.name) as (backlogs, is_full):
            chosen: Collection[UUID] = {backlog.user_id for backlog in backlogs}
            if self._listener.choose is not None and chosen:
                # Ask after the events were read: what makes a user matter only later comes with a later event.
                chosen = await self._listener.choose(chosen)
            outcomes = await asyncio.gather(*(deliver_in_turn(backlog) for backlog in backlogs))
            await self._outbox.mark(self._listener.name, [outcome for outcome in outcomes if outcome is not None])
        if is_full:
            return Due.MORE_THAN_A_BATCH
        return Due.SOME if backlogs else Due.NOTHING

    async def _deliver_to_listener(self, backlog: Backlog) -> Outcome:
        # After a failure the first event is delivered alone, so that only the failing one becomes a dead letter.
        events = backlog.events[:1] if backlog.attempts else backlog.events
        try:
            async with asyncio.timeout(self._policy.timeout):
                await self._listener.take(events)
        except Exception as failure:
            attempts, error = backlog.attempts + 1, type(failure).__name__
            if attempts < self._policy.attempts:
                logger.warning("durable listener %s failed, attempt %d: %s", self._listener.name, attempts, error)
                return Failed(backlog, error, self._policy.delay(attempts))
            logger.exception("durable listener %s failed too often: the event is a dead letter", self._listener.name)
            return GivenUp(backlog, error)
        return Taken(backlog, events[-1].version)

    async def _deliver_or_log(self) -> Due:
        try:
            due = await self.deliver()
            if due is Due.NOTHING or monotonic() - self._marked_at > self._policy.poll:
                await self._outbox.mark_delivered()
                self._marked_at = monotonic()
        except Exception as error:  # noqa: BLE001 - whatever failed, the next attempt may succeed
            self._failure.failed(error)
            return Due.NOTHING
        self._failure.succeeded()
        return due
