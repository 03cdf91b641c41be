"""The host names that the service answers to."""

import re
from fnmatch import fnmatchcase
from ipaddress import AddressValueError, IPv6Address

from litestar.types import ASGIApp, Receive, Scope, Send

from app.errors import InvalidRequest
from app.http.headers import header

ANY_HOST = {"any_host": True}
"""The `opt` of a handler that answers under any name: health checks and Prometheus ask by address."""


_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^:/?#@\[\]\s]*))(?::[0-9]*)?")


def host_name(authority: str) -> str | None:
    """Return the host that an authority names, in one spelling: without port, case and final dot.

    An IPv6 address loses its brackets (RFC 3986, section 3.2.2). The answer is `None` if the authority is malformed.
    """
    match = _AUTHORITY.fullmatch(authority.lower())
    if match is None:
        return None
    address, name = match.groups()
    if address is None:
        return str(name).removesuffix(".")
    try:
        return str(IPv6Address(address))
    except AddressValueError:
        return None


class AllowedHostsMiddleware:
    """Refuses requests for other hosts (RFC 9110, section 7.4), on any port.

    Where a request names the host in its target, the protocol class has put that into `Host`.
    Handlers with the `opt` `ANY_HOST` are left out. Litestar's own middleware compares the port too, and does not
    answer with a problem document.
    """

    def __init__(self, app: ASGIApp, patterns: tuple[str, ...]) -> None:
        self._app = app
        self._patterns = [host_name(pattern) or pattern for pattern in patterns]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["route_handler"].opt.get("any_host"):
            await self._app(scope, receive, send)
            return
        host = host_name(header(scope, "host") or "")
        if host is None or not any(fnmatchcase(host, pattern) for pattern in self._patterns):
            raise InvalidRequest("The service does not answer to this host's name.")
        await self._app(scope, receive, send)
