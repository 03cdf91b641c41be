"""Whether the service can do its work."""

import asyncio
from time import monotonic

from sqlalchemy.exc import SQLAlchemyError

from app import schema
from app.database import Database
from app.errors import NotReady

_ANSWER_SECONDS = 3
_WRITABLE_FOR_SECONDS = 1


class Readiness:
    """Asks the database each time, but tries to write at most once a second while that goes well: anyone may ask.

    Whoever asks meanwhile waits for that one attempt.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writing = asyncio.Lock()
        self._writable_until = 0.0

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
        except (SQLAlchemyError, OSError, TimeoutError):
            raise NotReady(fault) from None
