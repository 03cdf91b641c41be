"""Readiness: whether the service can serve requests."""

import asyncio
from time import monotonic

from app.database import schema
from app.database.engines import Database
from app.database.faults import FAULTS
from app.database.redis_connection import RedisConnection
from app.errors import NotReady

_ANSWER_SECONDS = 3
_WRITABLE_FOR_SECONDS = 1


class Readiness:
    """Checks the database for each request, because anyone may ask, but tries to write at most once a second.

    Requests that come during that write wait for it.
    """

    def __init__(self, database: Database, redis: RedisConnection | None = None) -> None:
        self._database = database
        self._redis = redis
        self._writing = asyncio.Lock()
        self._writable_until = 0.0

    @property
    def is_degraded(self) -> bool:
        """Whether Redis is set up and can't be used, so that rate limits are counted by each process alone."""
        return self._redis is not None and not self._redis.is_up

    async def check(self) -> None:
        """Return if the service can serve.

        Raises:
            NotReady: The database does not answer within three seconds, lacks migrations, or takes no changes.
        """
        fault = "The database does not answer."
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                if not await schema.is_current(self._database):
                    raise NotReady("Migrations are missing: run `alembic upgrade head`.")
                fault = "The database takes no changes."
                async with self._writing:
                    if monotonic() >= self._writable_until:
                        await schema.try_to_write(self._database)
                        self._writable_until = monotonic() + _WRITABLE_FOR_SECONDS
        except FAULTS:
            raise NotReady(fault) from None
