"""Counts that all processes keep together in Redis."""

from limits import RateLimitItem
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from redis.exceptions import RedisError

from app.limits import AnswerT, Question
from app.redis.link import RedisLink


class RedisCounts:
    """The port `app.limits.SharedCounts`, on the connections of a link, which hears of failures."""

    def __init__(self, prefix: str, link: RedisLink) -> None:
        storage = RedisStorage(
            # Not where it is, which the pool knows: it takes fewer addresses than the pool does.
            "async+redis://localhost:6379",
            implementation="redispy",
            key_prefix=prefix,
            connection_pool=link.pool,  # type: ignore[arg-type]
        )
        self._limiter = FixedWindowRateLimiter(storage)
        self._link = link

    async def ask(self, question: Question[AnswerT], window: RateLimitItem, name: str, key: str) -> AnswerT | None:
        """See `SharedCounts.ask`."""
        if not self._link.is_up:
            return None
        try:
            return await question(self._limiter)(window, name, key)
        except (RedisError, OSError, TimeoutError):
            self._link.report_failure()
            return None
