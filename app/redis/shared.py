"""What nodes share through Redis, put together."""

import hashlib
from typing import NamedTuple

from redis.asyncio import Redis

from app.database import Database
from app.delivery.wakeups import Wakeups
from app.redis.counts import RedisCounts
from app.redis.epochs import EpochStore
from app.redis.link import RedisLink
from app.redis.trust import Trust
from app.redis.wakeups import RedisWakeups

_TIMEOUT_SECONDS = 0.5


class Shared(NamedTuple):
    """The parts of the service that Redis serves."""

    link: RedisLink
    trust: Trust
    counts: RedisCounts
    wakeups: RedisWakeups

    @property
    def is_degraded(self) -> bool:
        """Whether the database answers in Redis' place at the moment."""
        return not self.link.is_up or self.trust.readable is None


def share(url: str, database: Database, wakeups: Wakeups) -> Shared:
    """Return what nodes with the same database and the same Redis share."""
    # Several deployments may use one Redis. Names that differ for one database, or are the same for two, cost some
    # wake-ups and counts, no more: versions are kept apart by the epoch.
    name = f"{database.url.host}:{database.url.port}/{database.url.database}"
    prefix = f"postline:{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    link = RedisLink(url, "postline:timelines", timeout=_TIMEOUT_SECONDS)
    return Shared(
        link=link,
        trust=Trust(EpochStore(database), link),
        counts=RedisCounts(f"{prefix}:limits", link),
        wakeups=RedisWakeups(Redis(connection_pool=link.pool), f"{prefix}:wakeups", wakeups),
    )
