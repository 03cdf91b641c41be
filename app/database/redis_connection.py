"""The optional Redis, which may be away, hang or refuse writes at any moment."""

import hashlib
import logging

from sqlalchemy import URL
from typing_extensions import override

from app.periodic import PeriodicTask

logger = logging.getLogger(__name__)

_MAX_CONNECTIONS = 50
_TIMEOUT_SECONDS = 0.5
_PROBE_SECONDS = 1


class RedisConnection(PeriodicTask):
    """A client of Redis, and whether it can be used at the moment.

    A command takes at most half a second. After one that failed, `is_up` is false until `tick` succeeds, so that a
    background task finds out that Redis is back, and never a request. Names of keys and channels begin with `prefix`:
    several deployments may share one Redis. `faults` are what a command raises when Redis did not answer as it should.
    """

    def __init__(self, url: str, database: URL) -> None:
        # A process without Redis starts earlier, and takes 8 MiB less, if it does not load the client.
        from redis.asyncio import Redis  # noqa: PLC0415
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.exceptions import RedisError  # noqa: PLC0415

        super().__init__("probing Redis", _PROBE_SECONDS)
        self.client = Redis.from_url(
            url,
            max_connections=_MAX_CONNECTIONS,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self.faults: tuple[type[Exception], ...] = (RedisError, OSError, TimeoutError)
        name = f"{database.host}:{database.port}/{database.database}"
        self.prefix = f"postline:{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        self.is_up = False
        self._is_reported = False

    @override
    async def run(self) -> None:
        await self.tick()
        await super().run()

    @override
    async def tick(self) -> None:
        """Find out whether Redis takes writes: a server that is read-only, or full, still answers a PING."""
        try:
            await self.client.set(f"{self.prefix}:probe", b"", ex=_PROBE_SECONDS)
        except self.faults as error:
            self.report_failure(error)
            return
        if not self.is_up:
            logger.info("Redis shares rate limits and wake-ups")
        self.is_up, self._is_reported = True, False

    def report_failure(self, error: Exception) -> None:
        """Stop using Redis until the next probe that succeeds."""
        if not self._is_reported:
            logger.warning("Redis can't be used, so this process counts rate limits alone: %s", type(error).__name__)
        self.is_up, self._is_reported = False, True

    async def close(self) -> None:
        """Close every connection."""
        await self.client.aclose()
