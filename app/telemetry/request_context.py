"""The request that is being served: its id, its place in a trace, and its fields in the log."""

import re
from contextvars import ContextVar
from random import getrandbits

from litestar.types import HTTPScope

from app.auth.rate_limits import client_key
from app.http.headers import header

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Version, trace, parent and flags (W3C Trace Context, section 3.2); later versions may say more.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

UNKNOWN_ROUTE = "unknown"
UNKNOWN_METHOD = "_OTHER"


class RequestContext:
    """One request, as metrics, logs and traces describe it.

    `id` is the `X-Request-ID` that the client sent, if it has at most 64 letters, digits and `.`, `_` or `-`, or else a
    new one. `status` is what was answered, and 500 until then. Paths hold ids, so only the route's
    template is shown.
    """

    __slots__ = ("_scope", "_trace", "id", "status")

    def __init__(self, scope: HTTPScope) -> None:
        self._scope = scope
        self._trace: tuple[str, str] | None = None
        self.status = 500
        sent = header(scope, "x-request-id")
        self.id = sent if sent and _SANE_ID.fullmatch(sent) else _random_hex(16)

    @property
    def method(self) -> str:
        """The method, or `_OTHER` for one that no route has."""
        method = self._scope["method"]
        return method if method in _METHODS else UNKNOWN_METHOD

    @property
    def route(self) -> str:
        """The route's template, such as `/posts/{postID}`, or `unknown` for an unknown address."""
        return self._scope.get("path_template", UNKNOWN_ROUTE)

    @property
    def client(self) -> str:
        """Who asks: the user, or before log-in the client's address."""
        user = self._scope.get("user")
        if user is not None:
            return str(user.user_id)
        address = self._scope.get("client")
        return client_key(address[0] if address else None)

    @property
    def trace(self) -> tuple[str, str]:
        """The ids of the trace and of this request's span (W3C Trace Context)."""
        if self._trace is None:
            match = _TRACEPARENT.fullmatch(header(self._scope, "traceparent") or "")
            self._trace = match[1] if match else _random_hex(16), _random_hex(8)
        return self._trace

    @trace.setter
    def trace(self, trace: tuple[str, str]) -> None:
        self._trace = trace

    def fields(self) -> dict[str, str]:
        """Return the fields that log lines have while the request is served."""
        trace_id, span_id = self.trace
        fields = {
            "request_id": self.id,
            "trace_id": trace_id,
            "span_id": span_id,
            "method": self.method,
            "route": self.route,
        }
        user = self._scope.get("user")
        return fields if user is None else fields | {"user_id": str(user.user_id)}


current_request: ContextVar[RequestContext | None] = ContextVar("current_request", default=None)
"""The request that the running code serves, if any."""


def _random_hex(size: int) -> str:
    # Ids must be unique, not hard to guess.
    return getrandbits(8 * size).to_bytes(size).hex()
