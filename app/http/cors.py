"""Which pages of other origins may use the service, and how a preflight request is refused."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from litestar import Request
from litestar.config.cors import CORSConfig
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app.http.headers import header
from app.http.problems import refused_preflight


def create_cors_config(allowed_origins: Sequence[str]) -> CORSConfig | None:
    """Return which of a page's requests those origins may make, and what of the answers they may read."""
    if not allowed_origins:
        return None
    return CORSConfig(
        allow_origins=list(allowed_origins),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=[
            "Authorization",
            "Content-Type",
            "If-Match",
            "If-None-Match",
            "Idempotency-Key",
            "Last-Event-ID",
            "Traceparent",
            "X-Request-ID",
        ],
        expose_headers=[
            "ETag",
            "Link",
            "Location",
            "Cache-Status",
            "Retry-After",
            "RateLimit",
            "RateLimit-Policy",
            "Idempotency-Replayed",
            "X-Request-ID",
        ],
    )


class PreflightProblems:
    """Goes around Litestar's CORS, and answers with a problem document where that refuses a request with plain text."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        # CORS answers OPTIONS itself where there is an origin, and then 400 says that it refuses.
        if scope.get("method") != "OPTIONS" or header(scope, "origin") is None:
            await self._app(scope, receive, send)
            return
        is_refused = False

        async def send_unless_refused(message: Message) -> None:
            nonlocal is_refused
            is_refused = is_refused or message.get("status") == HTTPStatus.BAD_REQUEST
            if not is_refused:
                await send(message)

        await self._app(scope, receive, send_unless_refused)
        if is_refused:
            request: Request[Any, Any, Any] = Request(scope)
            await refused_preflight(request).to_asgi_response(None, request)(scope, receive, send)
