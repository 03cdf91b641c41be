"""Delivery that survives a crash: every event at least once, each user's in order."""

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

from events.types import PostEvent
from events.waiting import backoff, wait_for

logger = logging.getLogger(__name__)

MAX_CONCURRENT_BATCHES = 4
_MAX_CONCURRENT_USERS = 8


@dataclass(frozen=True)
class DurableListener:
    """A listener whose progress is kept in the database, under `name` (at most 64 characters).

    `take` is called with events of one user, in the order of their versions; those of several users may be delivered at
    the same time. Where it raises, or takes too long, they are delivered again later, and after a crash too: so it must
    bear to be given an event twice. Under a new name it begins, when a user's timeline next changes, with the oldest
    event of that user that is kept; `litestar events replay` brings it the others.

    `choose`, if given, is asked first, once for many users: it returns those of them whose events matter to the
    listener, and the others' are taken as delivered.
    """

    name: str
    take: Callable[[Sequence[PostEvent]], Awaitable[None]]
    choose: Callable[[Collection[UUID]], Awaitable[Collection[UUID]]] | None = None


class Backlog(NamedTuple):
    """The next events that a listener lacks of one user, after `version`; the first has failed `attempts` times."""

    user_id: UUID
    version: int
    attempts: int
    events: Sequence[PostEvent]


class Claim(NamedTuple):
    """Some users' next events, claimed by nobody else. Where it is full, there may be more users who are due."""

    backlogs: Sequence[Backlog]
    is_full: bool


class Taken(NamedTuple):
    """The listener took everything up to `version`."""

    backlog: Backlog
    version: int


class Failed(NamedTuple):
    """The listener failed, and is given the same events again after `delay`."""

    backlog: Backlog
    error: str
    delay: timedelta


class GivenUp(NamedTuple):
    """The listener failed so often on its next event that it goes on without it."""

    backlog: Backlog
    error: str


Outcome = Taken | Failed | GivenUp


class Due(IntEnum):
    """How much a listener lacked at the last look."""

    NOTHING = 0
    SOME = 1
    MORE_THAN_A_BATCH = 2


class Outbox(Protocol):
    """Where events wait for those who must not miss one."""

    def claim(self, listener: str) -> AbstractAsyncContextManager[Claim]:
        """Yield what the listener lacks and is due."""
        ...

    async def mark(self, listener: str, outcomes: Sequence[Outcome]) -> None:
        """Keep what became of claimed backlogs, all in one transaction."""

    async def mark_delivered(self) -> None:
        """Put those users aside whose newest event every durable listener has."""


@dataclass(frozen=True)
class RelayPolicy:
    """How patient a relay is. Times are in seconds.

    `poll` is how often it looks for what nobody woke it for, `gather` how long it lets a burst gather after a batch
    that was not full, `timeout` what one call of a listener may take. A failed delivery is repeated after
    `first_delay`, which doubles up to `longest_delay`, of which a random part between half and all is waited; after
    `attempts` it is given up.
    """

    poll: float = 1
    gather: float = 0.5
    timeout: float = 10
    attempts: int = 12
    first_delay: float = 1
    longest_delay: float = 900

    def delay(self, attempts: int) -> timedelta:
        """Return how long to wait after so many failures."""
        return backoff(attempts, first=self.first_delay, longest=self.longest_delay)


class Relay:
    """Brings stored events to one durable listener. Any number of processes may run one for the same listener."""

    def __init__(self, listener: DurableListener, outbox: Outbox, policy: RelayPolicy) -> None:
        self._listener = listener
        self._outbox = outbox
        self._policy = policy
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._marked_at = 0.0

    async def on_change(self, _: PostEvent) -> None:
        """Look for what is new at once."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver until told to stop, and then finish the calls that have begun."""
        batches: set[asyncio.Task[Due]] = set()
        while not self._stopping.is_set():
            self._woken.clear()
            batches.add(asyncio.create_task(self._deliver_or_log()))
            # A call that hangs holds up its own batch only.
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

        async def take_turn(backlog: Backlog) -> Outcome | None:
            if backlog.user_id not in chosen:
                return Taken(backlog, backlog.events[-1].version)
            async with turns:
                return None if self._stopping.is_set() else await self._offer(backlog)

        async with self._outbox.claim(self._listener.name) as (backlogs, is_full):
            chosen: Collection[UUID] = {backlog.user_id for backlog in backlogs}
            if self._listener.choose is not None and chosen:
                # After the events were read: who comes to matter later does so by what happens later.
                chosen = await self._listener.choose(chosen)
            outcomes = await asyncio.gather(*(take_turn(backlog) for backlog in backlogs))
            await self._outbox.mark(self._listener.name, [outcome for outcome in outcomes if outcome is not None])
        if is_full:
            return Due.MORE_THAN_A_BATCH
        return Due.SOME if backlogs else Due.NOTHING

    async def _offer(self, backlog: Backlog) -> Outcome:
        # What failed is offered alone, so that only the event that is at fault is ever given up.
        events = backlog.events[:1] if backlog.attempts else backlog.events
        try:
            async with asyncio.timeout(self._policy.timeout):
                await self._listener.take(events)
        except Exception as failure:
            attempts, error = backlog.attempts + 1, type(failure).__name__
            if attempts < self._policy.attempts:
                logger.warning("durable listener %s failed, attempt %d: %s", self._listener.name, attempts, error)
                return Failed(backlog, error, self._policy.delay(attempts))
            logger.exception("durable listener %s gives up on an event", self._listener.name)
            return GivenUp(backlog, error)
        return Taken(backlog, events[-1].version)

    async def _deliver_or_log(self) -> Due:
        try:
            due = await self.deliver()
            if due is Due.NOTHING or monotonic() - self._marked_at > self._policy.poll:
                await self._outbox.mark_delivered()
                self._marked_at = monotonic()
        except Exception as error:  # noqa: BLE001 - whatever it was, the next time may go well
            logger.warning("events for %s could not be delivered: %s", self._listener.name, type(error).__name__)
            return Due.NOTHING
        return due
