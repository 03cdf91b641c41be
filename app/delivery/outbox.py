"""The outbox: stored events, and each durable listener's progress through them."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from time import monotonic
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, CursorResult, Update, and_, case, func, insert, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from typing_extensions import override

from app.database.engines import Database
from events.relay import Backlog, Claim, Failed, GivenUp, Outbox, Outcome, Taken
from events.types import decode
from models import DeadLetter, ListenerProgress, StoredEvent, User
from models.columns import now


@dataclass(frozen=True)
class OutboxPolicy:
    """How much one batch holds, and for how many seconds a user is left out whom another process delivers for."""

    users_per_batch: int = 64
    events_per_batch: int = 500
    left_out_seconds: float = 2


class SqlOutbox(Outbox):
    """The outbox on the tables `events`, `users` and `listener_progress`."""

    def __init__(self, database: Database, listeners: Collection[str], policy: OutboxPolicy) -> None:
        self._database = database
        self._policy = policy
        self._listeners = listeners
        self._claimed_here: set[tuple[str, UUID]] = set()
        # Users claimed by another process are left out for a while. Otherwise they would fill each batch.
        self._claimed_elsewhere: dict[tuple[str, UUID], float] = {}

    @override
    @asynccontextmanager
    async def claim(self, listener: str) -> AsyncIterator[Claim]:
        self._claimed_elsewhere = {
            claim: until for claim, until in self._claimed_elsewhere.items() if until > monotonic()
        }
        left_out = self._claimed_here | self._claimed_elsewhere.keys()
        claimed = [user_id for name, user_id in left_out if name == listener]
        due = (
            select(col(User.id))
            .outerjoin(ListenerProgress, _is_progress(listener))
            .where(_is_due(), col(User.id).not_in(claimed))
            .order_by(col(User.undelivered_since))
            .limit(self._policy.users_per_batch)
        )
        async with self._database.reading() as connection:
            user_ids = (await connection.execute(due)).scalars().all()
        # Another batch of this process may have claimed some of them meanwhile.
        claims = {(listener, user_id) for user_id in user_ids} - self._claimed_here
        if not claims:
            yield Claim([], is_full=False)
            return
        self._claimed_here |= claims
        try:
            # Advisory locks: unlike row locks, they do not block changes or the erasure of the user.
            names = {f"deliver:{listener}:{user_id}": user_id for _, user_id in claims}
            async with self._database.locked(names) as locked:
                user_ids = [names[name] for name in locked]
                refused = claims - {(listener, user_id) for user_id in user_ids}
                self._claimed_elsewhere |= dict.fromkeys(refused, monotonic() + self._policy.left_out_seconds)
                # If another process holds some of them, it delivers the next ones too, and a pause keeps the two apart.
                is_full = len(locked) == self._policy.users_per_batch
                yield Claim(await self._backlogs(listener, user_ids), is_full)
        finally:
            self._claimed_here -= claims

    @override
    async def mark(self, listener: str, outcomes: Sequence[Outcome]) -> None:
        if not outcomes:
            return
        async with self._database.writer.begin() as connection:
            await _begin_progress(connection, listener, {o.backlog.user_id for o in outcomes if o.backlog.version == 0})
            taken = [outcome for outcome in outcomes if isinstance(outcome, Taken)]
            if taken:
                await connection.execute(_advance(listener, taken))
            for outcome in outcomes:
                match outcome:
                    case Failed(backlog, error, delay):
                        await connection.execute(
                            update(ListenerProgress)
                            .where(_is_where_it_was(listener, backlog))
                            .values(attempts=backlog.attempts + 1, retry_at=now() + delay, error=error)
                        )
                    case GivenUp(backlog, error):
                        await _give_up(connection, listener, backlog, error)
                    case Taken():
                        pass

    @override
    async def mark_delivered(self) -> None:
        while await self._mark_some_delivered():
            pass

    async def _mark_some_delivered(self) -> bool:
        """Mark some users, and return whether there may be more."""
        reached = (
            select(func.count())
            .where(
                col(ListenerProgress.user_id) == col(User.id),
                col(ListenerProgress.listener).in_(self._listeners),
                col(ListenerProgress.version) >= col(User.timeline_version),
            )
            .scalar_subquery()
        )
        done = select(col(User.id)).where(col(User.undelivered_since).is_not(None), reached == len(self._listeners))
        async with self._database.reading() as connection:
            user_ids = (await connection.execute(done.limit(self._policy.events_per_batch))).scalars().all()
        if not user_ids:
            return False
        async with self._database.writer.begin() as connection:
            # Writers of these users wait for the lock, so none adds an event between the check and the update. A user
            # whose row is locked is being written to, and has something to deliver anyway.
            locked = select(col(User.id)).where(col(User.id).in_(user_ids)).with_for_update(skip_locked=True)
            held = (await connection.execute(locked)).scalars().all()
            still = (await connection.execute(done.where(col(User.id).in_(held)))).scalars().all()
            await connection.execute(update(User).where(col(User.id).in_(still)).values(undelivered_since=None))
        return len(user_ids) == self._policy.events_per_batch and len(still) > 0

    async def _backlogs(self, listener: str, user_ids: list[UUID]) -> list[Backlog]:
        """Return what is due for these users, read again now that no other process can deliver it."""
        version = func.coalesce(col(ListenerProgress.version), 0)
        statement = (
            select(
                col(User.id),
                version.label("version"),
                func.coalesce(col(ListenerProgress.attempts), 0).label("attempts"),
                col(User.timeline_version),
                col(StoredEvent.payload),
            )
            .outerjoin(ListenerProgress, _is_progress(listener))
            .outerjoin(StoredEvent, and_(col(StoredEvent.user_id) == col(User.id), col(StoredEvent.version) > version))
            .where(col(User.id).in_(user_ids), _is_due())
            .order_by(col(User.undelivered_since), col(User.id), col(StoredEvent.version))
            .limit(self._policy.events_per_batch)
        )
        backlogs, forgotten = list[Backlog](), list[Outcome]()
        async with self._database.reading() as connection:
            rows = (await connection.execute(statement)).all()
        for user_id, group in groupby(rows, lambda row: row.id):
            of_user = list(group)
            events = [decode(row.payload) for row in of_user if row.payload is not None]
            backlog = Backlog(user_id, of_user[0].version, of_user[0].attempts, events)
            if events:
                backlogs.append(backlog)
            else:
                # The events were pruned, so the listener continues without them.
                forgotten.append(Taken(backlog, of_user[0].timeline_version))
        await self.mark(listener, forgotten)
        return backlogs


def _is_progress(listener: str) -> ColumnElement[bool]:
    return and_(col(ListenerProgress.user_id) == col(User.id), col(ListenerProgress.listener) == listener)


def _is_due() -> ColumnElement[bool]:
    return and_(
        col(User.undelivered_since).is_not(None),
        or_(col(ListenerProgress.version).is_(None), col(ListenerProgress.version) < col(User.timeline_version)),
        or_(col(ListenerProgress.retry_at).is_(None), col(ListenerProgress.retry_at) <= now()),
    )


def _is_where_it_was(listener: str, backlog: Backlog) -> ColumnElement[bool]:
    """Return the condition that nothing was delivered or replayed meanwhile."""
    return and_(
        col(ListenerProgress.listener) == listener,
        col(ListenerProgress.user_id) == backlog.user_id,
        col(ListenerProgress.version) == backlog.version,
    )


def _advance(listener: str, taken: Sequence[Taken]) -> Update:
    user_id, version = col(ListenerProgress.user_id), col(ListenerProgress.version)
    were = case(*((user_id == backlog.user_id, backlog.version) for backlog, _ in taken))
    are = case(*((user_id == backlog.user_id, reached) for backlog, reached in taken))
    return (
        update(ListenerProgress)
        .where(
            col(ListenerProgress.listener) == listener,
            user_id.in_([backlog.user_id for backlog, _ in taken]),
            version == were,
        )
        .values(version=are, attempts=0, retry_at=None, error="")
    )


async def _begin_progress(connection: AsyncConnection, listener: str, user_ids: Collection[UUID]) -> None:
    """Insert the missing progress rows of users who may be new to the listener."""
    if not user_ids:
        return
    known = select(col(ListenerProgress.user_id)).where(
        col(ListenerProgress.listener) == listener, col(ListenerProgress.user_id).in_(user_ids)
    )
    new = set(user_ids) - set((await connection.execute(known)).scalars())
    if new:
        # Selected and locked, so that an erased user is left out, and one who is being erased is waited for.
        users = (
            select(literal(listener), col(User.id), literal(0), literal(0), literal(""))
            .where(col(User.id).in_(new))
            .order_by(col(User.id))
            .with_for_update(read=True)
        )
        await connection.execute(
            insert(ListenerProgress).from_select(["listener", "user_id", "version", "attempts", "error"], users)
        )


async def _give_up(connection: AsyncConnection, listener: str, backlog: Backlog, error: str) -> None:
    version = backlog.events[0].version
    result: CursorResult[Any] = await connection.execute(
        update(ListenerProgress)
        .where(_is_where_it_was(listener, backlog))
        .values(version=version, attempts=0, retry_at=None, error="")
    )
    if result.rowcount:
        await connection.execute(
            insert(DeadLetter).values(
                listener=listener, user_id=backlog.user_id, version=version, error=error, given_up_at=now()
            )
        )
