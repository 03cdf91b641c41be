"""Rate-limit counts that all processes keep together in Redis."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from limits import RateLimitItem
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter

from app.database.redis_connection import RedisConnection

AnswerT = TypeVar("AnswerT")
Question = Callable[[FixedWindowRateLimiter], Callable[..., Awaitable[AnswerT]]]


class SharedCounts:
    """Asks the limiter in Redis, unless Redis is known to be away."""

    def __init__(self, redis: RedisConnection) -> None:
        storage = RedisStorage(
            # The pool knows the real address. This one only has to be of a form that the library takes.
            "async+redis://localhost:6379",
            implementation="redispy",
            key_prefix=f"{redis.prefix}:limits",
            connection_pool=redis.client.connection_pool,  # type: ignore[arg-type]
        )
        self._limiter = FixedWindowRateLimiter(storage)
        self._redis = redis

    async def ask(self, question: Question[AnswerT], window: RateLimitItem, name: str, key: str) -> AnswerT | None:
        """Return the limiter's answer, or `None` while Redis can't be used."""
        if not self._redis.is_up:
            return None
        try:
            return await question(self._limiter)(window, name, key)
        except self._redis.faults as error:
            self._redis.report_failure(error)
            return None
