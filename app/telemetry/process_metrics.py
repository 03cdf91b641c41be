"""What this process measures, besides its requests."""

from collections.abc import Sequence
from functools import partial

from app.auth.passwords import Argon2Passwords
from app.auth.rate_limits import RateLimit
from app.database.engines import PoolUsage
from app.database.redis_connection import RedisConnection
from app.http.response_store import BoundedStore
from app.quotas import QUOTAS, Quotas
from app.shares import Share, Turns
from app.telemetry.logs import Log
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
    shares: Sequence[Share | Turns],
    quotas: Quotas,
    log: Log,
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
        Measure(
            "postline_passwords_pending", "Passwords being hashed, or waiting for it.", lambda: passwords.share.used
        ),
        Measure("postline_log_lines_dropped_total", "Log lines that could not be written.", lambda: log.dropped),
        Measure(
            "postline_log_lines_suppressed_total", "Log lines beyond their client's share.", lambda: log.suppressed
        ),
    ]
    for pool in pools:
        labels = {"pool": pool.name}
        found += [
            Measure("postline_database_connections_in_use", "Connections in use.", pool.in_use, labels),
            Measure("postline_database_connections_limit", "Connections that may be open at once.", pool.limit, labels),
        ]
    for share in shares:
        labels = {"share": share.name}
        found += [
            Measure(
                "postline_share_used", "What is held of a shared resource.", partial(getattr, share, "used"), labels
            ),
            Measure(
                "postline_share_refused_total",
                "Refusals of what was beyond a share.",
                partial(getattr, share, "refused"),
                labels,
            ),
        ]
    found += [
        Measure(
            "postline_quota_refused_total",
            "Refusals of what was beyond a user's quota.",
            partial(quotas.refused.__getitem__, quota),
            {"quota": quota},
        )
        for quota in QUOTAS
    ]
    if redis is not None:
        degraded = "1 while Redis is set up and can't be used."
        found.append(Measure("postline_redis_degraded", degraded, lambda: not redis.is_up, is_highest=True))
    return found
