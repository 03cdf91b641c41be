"""Bounds what a request may ask for: its path and query."""

from collections.abc import Awaitable
from typing import Any

from litestar import Request
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from app.http.problems import target_too_long

_MAX_LENGTH = 8000
_MAX_PARAMETERS = 100


class BoundedTargetMiddleware:
    """Refuses a path and query of more than 8,000 characters together, or a query of more than 100 parameters (414).

    Litestar keeps a thousand paths and parsed queries in memory, however large they are. So it wraps the router.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request."""
        if scope["type"] == ScopeType.HTTP:
            query = scope["query_string"]
            if len(scope["path"]) + len(query) > _MAX_LENGTH or query.count(b"&") >= _MAX_PARAMETERS:
                request = Request[Any, Any, Any](scope, receive, send)
                answer = target_too_long(request).to_asgi_response(app=None, request=request)
                return answer(scope, receive, send)
        return self._app(scope, receive, send)
