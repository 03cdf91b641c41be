"""The rate limit on writes."""

from app.auth.jwt_auth import AuthenticatedRequest
from app.auth.rate_limits import RateLimit

_SAFE = {"GET", "HEAD", "OPTIONS"}


async def limit_writes(request: AuthenticatedRequest) -> None:
    """Refuse a write beyond `WRITE_RATE_LIMIT`: a `before_request` hook for controllers of what users own.

    As a guard it would run for each list that is served from the cache, too.
    """
    limit: RateLimit | None = request.app.state.write_limit
    if limit is not None and request.method not in _SAFE:
        await limit.hit(request.user.user_id.hex)
