"""When personal tokens were used last, without a write for each request."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import BindParameter, bindparam, update
from sqlmodel import col
from typing_extensions import override

from app.database.engines import Database
from app.periodic import PeriodicTask
from models import Session
from models.columns import UTCDateTime, UUIDBytes, now

# So that one statement holds the locks on few rows, and for a short time.
_TOKENS_PER_STATEMENT = 500

_AT: BindParameter[object] = bindparam("at", type_=UTCDateTime)
_NOTE = (
    update(Session)
    .where(
        col(Session.id).in_(bindparam("token_ids", expanding=True, type_=UUIDBytes)),
        # The clock of another process may be ahead.
        col(Session.last_used_at) < _AT,
    )
    .values(last_used_at=_AT)
)


class TokenUses(PeriodicTask):
    """Remembers which personal tokens were used, and stores the time once an interval, and when the process stops.

    It is one time for all that were used within an interval, so it is late by at most the interval.
    """

    def __init__(self, database: Database, interval: timedelta) -> None:
        super().__init__("storing when personal tokens were used", interval.total_seconds())
        self._database = database
        self._used: set[UUID] = set()

    def note(self, token_id: UUID) -> None:
        """Note that the token is being used."""
        self._used.add(token_id)

    @override
    async def run(self) -> None:
        await super().run()
        await self._try_to_tick()

    @override
    async def tick(self) -> None:
        at = now()
        while used := sorted(self._used)[:_TOKENS_PER_STATEMENT]:
            async with self._database.writer.begin() as connection:
                await connection.execute(_NOTE, {"token_ids": used, "at": at})
            self._used.difference_update(used)
