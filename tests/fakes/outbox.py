"""An outbox on the database in memory."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from typing_extensions import override

from app.delivery.outbox import OutboxPolicy, shared_evenly
from events.relay import Backlog, Claim, Failed, GivenUp, Outbox, Outcome, Taken
from events.types import PostEvent
from tests.fakes.database import InMemoryDatabase


class InMemoryOutbox(Outbox):
    """Keeps each listener's progress. A failed backlog is due again at once; `dead` holds what was given up."""

    def __init__(self, database: InMemoryDatabase, listeners: Collection[str], policy: OutboxPolicy) -> None:
        self._database = database
        self._policy = policy
        self._listeners = listeners
        self._claimed: set[tuple[str, UUID]] = set()
        self._served: dict[tuple[str, UUID], int] = {}
        self._turns = 0
        self._attempts: defaultdict[tuple[str, UUID], int] = defaultdict(int)
        self.progress: defaultdict[tuple[str, UUID], int] = defaultdict(int)
        self.dead: list[tuple[str, UUID, int]] = []

    @override
    @asynccontextmanager
    async def claim(self, listener: str) -> AsyncIterator[Claim]:
        due = dict[UUID, list[PostEvent]]()
        for user_id, stored in self._database.events.items():
            key = listener, user_id
            events = [stored[version] for version in sorted(stored) if version > self.progress[key]]
            if events and key not in self._claimed:
                due[user_id] = events
        # The ones who waited longest for their turn first.
        users = sorted(due, key=lambda user_id: self._served.get((listener, user_id), 0))
        chosen = users[: self._policy.users_per_batch]
        for user_id in chosen:
            self._turns += 1
            self._served[listener, user_id] = self._turns
        amounts = shared_evenly({user_id: len(due[user_id]) for user_id in chosen}, self._policy.events_per_batch)
        backlogs = []
        for user_id, amount in amounts.items():
            key = listener, user_id
            backlogs.append(Backlog(user_id, self.progress[key], self._attempts[key], due[user_id][:amount]))
        claimed = {(listener, backlog.user_id) for backlog in backlogs}
        self._claimed |= claimed
        try:
            yield Claim(backlogs, is_full=len(users) > len(chosen))
        finally:
            self._claimed -= claimed

    @override
    async def mark(self, listener: str, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            key = listener, outcome.backlog.user_id
            match outcome:
                case Taken(_, version):
                    self.progress[key] = version
                    self._attempts[key] = 0
                case Failed():
                    self._attempts[key] += 1
                case GivenUp(backlog, _):
                    self.progress[key] = backlog.events[0].version
                    self._attempts[key] = 0
                    self.dead.append((*key, backlog.events[0].version))

    @override
    async def mark_delivered(self) -> None:
        """Do nothing: no row says that something is undelivered."""
