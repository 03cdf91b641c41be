"""The host names that the service answers to."""

from fnmatch import fnmatchcase

from litestar.types import ASGIApp, Receive, Scope, Send

from app.errors import InvalidRequest
from app.http.headers import header

ANY_HOST = {"any_host": True}
"""The `opt` of a handler that answers under any name: health checks and Prometheus ask by address."""


class AllowedHostsMiddleware:
    """Refuses requests for other hosts (RFC 9110, section 7.4), on any port.

    Handlers with the `opt` `ANY_HOST` are left out. Litestar's own middleware compares the port too, and does not
    answer with a problem document.
    """

    def __init__(self, app: ASGIApp, patterns: tuple[str, ...]) -> None:
        self._app = app
        self._patterns = patterns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if ANY_HOST.items() <= scope["route_handler"].opt.items():
            await self._app(scope, receive, send)
            return
        name = (header(scope, "host") or "").lower()
        host = name.rsplit(":", 1)[0] if name.rpartition(":")[2].isdigit() else name
        if not any(fnmatchcase(host, pattern) for pattern in self._patterns):
            raise InvalidRequest("The service does not answer to this host's name.")
        await self._app(scope, receive, send)
