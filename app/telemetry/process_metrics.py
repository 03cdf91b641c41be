"""What this process measures, besides its requests."""

from collections.abc import Sequence

from app.auth.passwords import Argon2Passwords
from app.auth.rate_limits import RateLimit
from app.database.engines import PoolUsage
from app.database.redis_connection import RedisConnection
from app.http.response_store import BoundedStore
from app.telemetry.metrics import Measure
from events.wakeups import Wakeups


def process_metrics(
    *,
    cache: BoundedStore,
    pools: Sequence[PoolUsage],
    log_ins: RateLimit,
    passwords: Argon2Passwords,
    wakeups: Wakeups,
    redis: RedisConnection | None,
) -> list[Measure]:
    """Return the measurements that these parts of the service take."""
    found = [
        Measure("postline_cache_hits_total", "Lists that the cache held.", lambda: cache.hits),
        Measure("postline_cache_misses_total", "Lists that the cache did not hold.", lambda: cache.misses),
        Measure("postline_cache_evictions_total", "Lists that were evicted for others.", lambda: cache.evictions),
        Measure("postline_cache_bytes", "The size of the cache.", lambda: cache.size),
        Measure("postline_streams_open", "Clients that follow changes.", lambda: wakeups.followers),
        Measure(
            "postline_login_failures_total",
            "Log-ins with a wrong password or an unknown address.",
            lambda: log_ins.failures,
        ),
        Measure("postline_passwords_pending", "Passwords being hashed, or waiting for it.", lambda: passwords.pending),
    ]
    for pool in pools:
        labels = {"pool": pool.name}
        found += [
            Measure("postline_database_connections_in_use", "Connections in use.", pool.in_use, labels),
            Measure("postline_database_connections_limit", "Connections that may be open at once.", pool.limit, labels),
        ]
    if redis is not None:
        degraded = "1 while Redis is set up and can't be used."
        found.append(Measure("postline_redis_degraded", degraded, lambda: not redis.is_up, is_highest=True))
    return found
