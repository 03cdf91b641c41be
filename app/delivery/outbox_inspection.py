"""The operator's view of the outbox: backlogs, dead letters, and replay."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Integer, and_, cast, delete, exists, func, or_, select, update
from sqlmodel import col
from sqlmodel import select as select_entity
from sqlmodel.ext.asyncio.session import AsyncSession

from app.database.engines import Database
from models import DeadLetter, ListenerProgress, StoredEvent, User
from models.columns import now

_USERS_AT_A_TIME = 500


class ListenerStatus(NamedTuple):
    """The state of a durable listener.

    `behind` is the number of users with undelivered events, `events` the number of these events, and `since` the time
    of the oldest. `failing` is the number of users whose next event failed at least once, `error` the exception of one
    of them, and `dead` the number of dead letters.
    """

    listener: str
    behind: int
    events: int
    since: datetime | None
    failing: int
    error: str
    dead: int


class OutboxInspection:
    """Reads the state of the outbox, and replays events."""

    def __init__(self, database: Database, listeners: Collection[str]) -> None:
        self._database = database
        self.listeners = listeners
        self.replayed = 0
        """How many users' events `replay_all` has replayed so far."""

    async def status(self) -> list[ListenerStatus]:
        """Return the state of each durable listener."""
        found: list[ListenerStatus] = []
        for listener in self.listeners:
            progress = and_(col(ListenerProgress.user_id) == col(User.id), col(ListenerProgress.listener) == listener)
            reached = func.coalesce(col(ListenerProgress.version), 0)
            is_next = and_(col(StoredEvent.user_id) == col(User.id), col(StoredEvent.version) == reached + 1)
            behind = (
                select(
                    func.count().label("behind"),
                    cast(func.coalesce(func.sum(col(User.timeline_version) - reached), 0), Integer).label("events"),
                    func.min(func.coalesce(col(StoredEvent.occurred_at), col(User.undelivered_since))).label("since"),
                    func.count(col(ListenerProgress.retry_at)).label("failing"),
                    func.coalesce(func.max(col(ListenerProgress.error)), "").label("error"),
                )
                .select_from(User)
                .outerjoin(ListenerProgress, progress)
                .outerjoin(StoredEvent, is_next)
                .where(col(User.undelivered_since).is_not(None), reached < col(User.timeline_version))
            )
            dead = select(func.count()).where(col(DeadLetter.listener) == listener)
            async with self._database.reading() as connection:
                row = (await connection.execute(behind)).one()
                given_up = (await connection.execute(dead)).scalar_one()
            found.append(ListenerStatus(listener, row.behind, row.events, row.since, row.failing, row.error, given_up))
        return found

    async def dead_letters(self) -> list[tuple[DeadLetter, str]]:
        """Return the dead letters, each with the type of its event, oldest first."""
        statement = (
            select_entity(DeadLetter, StoredEvent.type)
            .outerjoin(
                StoredEvent,
                and_(
                    col(StoredEvent.user_id) == col(DeadLetter.user_id),
                    col(StoredEvent.version) == col(DeadLetter.version),
                ),
            )
            .order_by(col(DeadLetter.given_up_at))
        )
        async with AsyncSession(self._database.reader) as session:
            return [(letter, type_ or "?") for letter, type_ in (await session.exec(statement)).all()]

    async def replay_dead_letters(self, listener: str) -> int:
        """Replay the dead letters and, in order, what followed them. Return the number of users."""
        oldest = (
            select(col(DeadLetter.user_id), func.min(col(DeadLetter.version)).label("version"))
            .where(col(DeadLetter.listener) == listener)
            .group_by(col(DeadLetter.user_id))
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(oldest)).all()
        for user_id, version in rows:
            await self._rewind(listener, user_id, version - 1)
        return len(rows)

    async def replay_all(self, listener: str, user_id: UUID | None = None) -> int:
        """Replay all kept events, of one user or of all. Return the number of users."""
        statement = select(col(User.id)).where(exists().where(col(StoredEvent.user_id) == col(User.id)))
        if user_id is not None:
            statement = statement.where(col(User.id) == user_id)
        count, last = 0, UUID(int=0)
        while True:
            async with self._database.reading() as connection:
                following = statement.where(col(User.id) > last).order_by(col(User.id)).limit(_USERS_AT_A_TIME)
                user_ids = (await connection.execute(following)).scalars().all()
            for each in user_ids:
                await self._rewind(listener, each, 0)
                self.replayed += 1
            if len(user_ids) < _USERS_AT_A_TIME:
                return count + len(user_ids)
            count, last = count + len(user_ids), user_ids[-1]

    async def _rewind(self, listener: str, user_id: UUID, version: int) -> None:
        async with self._database.writer.begin() as connection:
            # The user's row is locked first, as `mark_delivered` does, so the two can't undo each other.
            await connection.execute(
                update(User)
                .where(col(User.id) == user_id)
                .values(undelivered_since=func.coalesce(col(User.undelivered_since), now()))
            )
            is_this = and_(col(ListenerProgress.listener) == listener, col(ListenerProgress.user_id) == user_id)
            await connection.execute(
                update(ListenerProgress)
                .where(is_this, or_(col(ListenerProgress.version) > version, col(ListenerProgress.attempts) > 0))
                .values(version=version, attempts=0, retry_at=None, error="")
            )
            await connection.execute(
                delete(DeadLetter).where(
                    col(DeadLetter.listener) == listener,
                    col(DeadLetter.user_id) == user_id,
                    col(DeadLetter.version) > version,
                )
            )
