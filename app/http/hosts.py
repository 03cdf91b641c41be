"""Which names the service answers to."""

from fnmatch import fnmatchcase

from litestar.types import ASGIApp, Receive, Scope, Send

from app.errors import InvalidRequest
from app.http.headers import header


class AllowedHostsMiddleware:
    """Refuses requests that name another host (RFC 9110, section 7.4), whatever the port.

    Who watches the service may name any: health checks and Prometheus ask by address.

    Litestar's own compares the port too, and does not answer with a problem document.
    """

    def __init__(self, app: ASGIApp, patterns: tuple[str, ...]) -> None:
        self._app = app
        self._patterns = patterns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        name = (header(scope, "host") or "").lower()
        host = name.rsplit(":", 1)[0] if name.rpartition(":")[2].isdigit() else name
        is_watching = scope["path"].startswith("/health/") or scope["path"] == "/metrics"
        if not is_watching and not any(fnmatchcase(host, pattern) for pattern in self._patterns):
            raise InvalidRequest("The service does not answer to this host's name.")
        await self._app(scope, receive, send)
