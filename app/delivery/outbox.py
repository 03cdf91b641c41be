"""The outbox: stored events, and each durable listener's progress through them."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import groupby
from time import monotonic
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Row,
    Select,
    Update,
    and_,
    bindparam,
    case,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from typing_extensions import override

from app.database.engines import Database
from events.relay import Backlog, Claim, Failed, GivenUp, Outbox, Outcome, Taken
from events.types import decode
from models import DeadLetter, ListenerProgress, StoredEvent, User
from models.columns import now

KeyT = TypeVar("KeyT")


@dataclass(frozen=True)
class OutboxPolicy:
    """How much one batch holds, and for how many seconds a user is left out whom another process delivers for.

    The events of a batch are shared evenly: each user gets as many as the others, and more only where others have less.
    """

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
        # The last user of each listener's batch, while more are due than a batch holds. The next batch begins behind.
        self._positions: dict[str, tuple[datetime, UUID]] = {}

    @override
    @asynccontextmanager
    async def claim(self, listener: str) -> AsyncIterator[Claim]:
        self._claimed_elsewhere = {
            claim: until for claim, until in self._claimed_elsewhere.items() if until > monotonic()
        }
        left_out = self._claimed_here | self._claimed_elsewhere.keys()
        claimed = [user_id for name, user_id in left_out if name == listener]
        user_ids, is_full = await self._next_users(listener, left_out=claimed)
        # Another batch of this process may have claimed some of them meanwhile.
        claims = {(listener, user_id) for user_id in user_ids} - self._claimed_here
        if not claims:
            yield Claim([], is_full=is_full)
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
                yield Claim(await self._backlogs(listener, user_ids), is_full=is_full and not refused)
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

    async def _next_users(self, listener: str, left_out: Sequence[UUID]) -> tuple[list[UUID], bool]:
        """Return the users whose turn it is, and whether more are due: round robin over all users who are."""
        limit = self._policy.users_per_batch
        position = self._positions.pop(listener, None)
        rows = await self._due(listener, left_out, limit + 1, after=position)
        if position is not None and len(rows) <= limit:
            # After the last user come the first ones again.
            left_out = [*left_out, *(row.id for row in rows)]
            rows += await self._due(listener, left_out, limit + 1 - len(rows))
        if len(rows) > limit:
            self._positions[listener] = rows[limit - 1].undelivered_since, rows[limit - 1].id
        return [row.id for row in rows[:limit]], len(rows) > limit

    async def _due(
        self, listener: str, left_out: Collection[UUID], limit: int, *, after: tuple[datetime, UUID] | None = None
    ) -> list[Row[UUID, datetime | None]]:
        since, user_id = col(User.undelivered_since), col(User.id)
        statement = (
            select(user_id, since)
            .outerjoin(ListenerProgress, _is_progress(listener))
            .where(_is_due(), user_id.not_in(left_out))
            .order_by(since, user_id)
            .limit(limit)
        )
        if after is not None:
            last_since, last_id = after
            # The first condition is for the index.
            statement = statement.where(since >= last_since, or_(since > last_since, user_id > last_id))
        return list(await self._database.rows(statement))

    async def _backlogs(self, listener: str, user_ids: Collection[UUID]) -> list[Backlog]:
        """Return what is due for these users, read again now that no other process can deliver it."""
        version = func.coalesce(col(ListenerProgress.version), 0)
        statement = (
            select(
                col(User.id),
                version.label("version"),
                func.coalesce(col(ListenerProgress.attempts), 0).label("attempts"),
                col(User.timeline_version),
            )
            .outerjoin(ListenerProgress, _is_progress(listener))
            .where(col(User.id).in_(user_ids), _is_due())
        )
        rows = await self._database.rows(statement)
        lacking = {row.id: row.timeline_version - row.version for row in rows}
        amounts = shared_evenly(lacking, self._policy.events_per_batch)
        events = await self._events({row.id: (row.version, amounts[row.id]) for row in rows})
        backlogs, forgotten = list[Backlog](), list[Outcome]()
        for row in rows:
            # Of a pruned history, what is kept may begin after the versions that were asked for.
            of_user = events.get(row.id) or await self._oldest_events(row.id, row.version, amounts[row.id])
            backlog = Backlog(row.id, row.version, row.attempts, [decode(payload) for payload in of_user])
            if of_user:
                backlogs.append(backlog)
            else:
                # The events were pruned, so the listener continues without them.
                forgotten.append(Taken(backlog, row.timeline_version))
        await self.mark(listener, forgotten)
        return backlogs

    async def _events(self, wanted: Mapping[UUID, tuple[int, int]]) -> dict[UUID, list[bytes]]:
        """Return stored events, by user: so many versions after the given one of each."""
        if not wanted:
            return {}
        values: dict[str, UUID | int] = {}
        for number, (user_id, (version, amount)) in enumerate(wanted.items()):
            values |= {f"user_{number}": user_id, f"from_{number}": version + 1, f"to_{number}": version + amount}
        rows = await self._database.rows(_events_in_ranges(len(wanted)), values)
        return {each: [row.payload for row in group] for each, group in groupby(rows, lambda row: row.user_id)}

    async def _oldest_events(self, user_id: UUID, version: int, amount: int) -> list[bytes]:
        statement = (
            select(col(StoredEvent.payload))
            .where(col(StoredEvent.user_id) == user_id, col(StoredEvent.version) > version)
            .order_by(col(StoredEvent.version))
            .limit(amount)
        )
        return [row.payload for row in await self._database.rows(statement)]


@cache
def _events_in_ranges(count: int) -> Select[UUID, bytes]:
    # Ranges of constants: with bounds from another table, MariaDB reads each user's whole history. The statement is
    # made once for each count, because making it takes longer than executing it.
    user_id, version = col(StoredEvent.user_id), col(StoredEvent.version)
    ranges = [
        and_(user_id == bindparam(f"user_{n}"), version.between(bindparam(f"from_{n}"), bindparam(f"to_{n}")))
        for n in range(count)
    ]
    return select(user_id, col(StoredEvent.payload)).where(or_(*ranges)).order_by(user_id, version)


def shared_evenly(wanted: Mapping[KeyT, int], total: int) -> dict[KeyT, int]:
    """Share an amount evenly. What some do not want goes to the others; each gets at least one."""
    amounts = dict[KeyT, int]()
    for number, (key, amount) in enumerate(sorted(wanted.items(), key=lambda item: item[1])):
        amounts[key] = min(amount, max(1, total // (len(wanted) - number)))
        total -= amounts[key]
    return amounts


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
