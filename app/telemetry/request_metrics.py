"""Request metrics and the access log."""

import logging
from collections.abc import Awaitable
from time import perf_counter
from typing import cast

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app.telemetry.metrics import Metrics
from app.telemetry.request_context import RequestContext, current_request

logger = logging.getLogger(__name__)

_FIRST_ERROR_STATUS = 400
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class RequestMetricsMiddleware:
    """Times each request, names it in `X-Request-ID`, counts it, and logs it.

    It wraps the whole application, because Litestar's own middleware is not called for unknown addresses. Only requests
    that may change something, fail, or take at least `access_log_seconds` are logged: a log line costs about as much as
    a cached list.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, access_log_seconds: float) -> None:
        self._app = app
        self._metrics = metrics
        self._access_log_seconds = access_log_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        request = RequestContext(scope)
        token = current_request.set(request)

        def send_with_id(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                request.status = message["status"]
                cast("list[tuple[bytes, bytes]]", message["headers"]).append((b"x-request-id", request.id.encode()))
            return send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            seconds = perf_counter() - began
            method, status = request.method, request.status
            self._metrics.answered(method, request.route, status, seconds)
            if seconds >= self._access_log_seconds or method not in _SAFE_METHODS or status >= _FIRST_ERROR_STATUS:
                logger.info("request", extra={"status": status, "duration": round(seconds, 6)})
            current_request.reset(token)
