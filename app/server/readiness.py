"""Readiness: whether the service can serve requests."""

import asyncio
import logging
from time import monotonic

from app.database import schema
from app.database.engines import Database
from app.database.faults import FAULTS, FileReplaced
from app.database.redis_connection import RedisConnection
from app.errors import NotReady

logger = logging.getLogger(__name__)

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
        self.is_ahead = False
        """Whether the last check found migrations that this version of the service does not know."""

    @property
    def is_degraded(self) -> bool:
        """Whether it serves, but Redis can't be used, or a later version of the service has migrated the database."""
        return self.is_ahead or (self._redis is not None and not self._redis.is_up)

    async def check(self) -> None:
        """Return if the service can serve.

        Raises:
            NotReady: The database does not answer within three seconds, lacks migrations or what this version of the
                service uses, or takes no changes; or its file was replaced.
        """
        fault = "The database does not answer."
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                self._database.check_file()
                await self._check_revision()
                fault = "The database takes no changes."
                async with self._writing:
                    if monotonic() >= self._writable_until:
                        await schema.try_to_write(self._database)
                        self._writable_until = monotonic() + _WRITABLE_FOR_SECONDS
        except FileReplaced as error:
            raise NotReady("The database's file was removed, replaced or cut short; the log says which.") from error
        except FAULTS:
            raise NotReady(fault) from None

    async def _check_revision(self) -> None:
        state = await schema.state(self._database)
        if state is schema.State.BEHIND:
            raise NotReady(f"Migrations are missing: {schema.HOW_TO_MIGRATE}.")
        if state is schema.State.AHEAD and not self.is_ahead:
            missing = await schema.missing(self._database)
            if missing:
                raise NotReady(f"The database is of a later version, which this one can't use: it has no {missing[0]}.")
            logger.warning("a later version of the service has migrated the database; this one goes on using it")
        self.is_ahead = state is schema.State.AHEAD
