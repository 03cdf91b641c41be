"""What is measured in this process, besides its requests."""

from typing import cast

from sqlalchemy import QueuePool
from sqlalchemy.ext.asyncio import AsyncEngine

from app.bounded_store import BoundedStore
from app.database import Database
from app.delivery.wakeups import Wakeups
from app.limits import Limit
from app.passwords import Argon2Passwords
from app.redis.shared import Shared
from app.telemetry.metrics import Measure


def measures(
    *,
    cache: BoundedStore,
    database: Database,
    log_ins: Limit,
    passwords: Argon2Passwords,
    wakeups: Wakeups,
    shared: Shared | None,
) -> list[Measure]:
    """Return what these parts of the service keep count of."""
    found = [
        Measure("postline_cache_hits_total", "Lists that the cache held.", lambda: cache.hits),
        Measure("postline_cache_misses_total", "Lists that the cache did not hold.", lambda: cache.misses),
        Measure("postline_cache_evictions_total", "Lists that made room for others.", lambda: cache.evictions),
        Measure("postline_cache_bytes", "What the cache holds.", lambda: cache.size),
        Measure("postline_streams_open", "Clients that follow changes.", lambda: wakeups.followers),
        Measure(
            "postline_login_failures_total",
            "Log-ins with a wrong password or an unknown address.",
            lambda: log_ins.failures,
        ),
        Measure("postline_passwords_pending", "Passwords being hashed, or waiting for it.", lambda: passwords.pending),
    ]
    for name, engine in database.engines.items():
        found += _of_pool(name, engine)
    if shared is not None:
        degraded = "1 while the database answers in Redis' place."
        found.append(Measure("postline_redis_degraded", degraded, lambda: shared.is_degraded, is_highest=True))
    return found


def _of_pool(name: str, engine: AsyncEngine) -> list[Measure]:
    def pool() -> QueuePool:
        # Asked for each time: an engine that closed its connections has a new one.
        return cast("QueuePool", engine.pool)

    return [
        Measure(
            "postline_database_connections_in_use", "Connections in use.", lambda: pool().checkedout(), {"pool": name}
        ),
        Measure(
            "postline_database_connections_limit",
            "Connections that may be open at once.",
            lambda: pool().size(),
            {"pool": name},
        ),
    ]
