"""What is kept of each request: a count, a duration, and a line in the log where it is worth one."""

import logging
from time import perf_counter
from typing import cast

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, Receive, Scope, Send

from app.telemetry.metrics import Metrics
from app.telemetry.request_context import RequestContext, current_request

logger = logging.getLogger(__name__)

_FIRST_ERROR_STATUS = 400
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class RequestWatch:
    """Watches each request from its beginning to the end of its answer.

    It stands around the whole application: what stands among Litestar's middleware never hears of unknown addresses. A
    line is written of each request that may change something, fails, or takes longer than `unlogged_seconds`: it costs
    about as much as a cached list.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, unlogged_seconds: float) -> None:
        self._app = app
        self._metrics = metrics
        self._unlogged_seconds = unlogged_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        request = RequestContext(scope)
        token = current_request.set(request)
        try:
            await self._app(scope, receive, send)
        finally:
            seconds = perf_counter() - began
            method, status = request.method, request.status
            self._metrics.answered(method, request.route, status, seconds)
            if seconds >= self._unlogged_seconds or method not in _SAFE_METHODS or status >= _FIRST_ERROR_STATUS:
                logger.info("request", extra={"status": status, "duration": round(seconds, 6)})
            current_request.reset(token)


def sign_answer(message: HTTPResponseStartEvent) -> None:
    """Tell the client the request's id, before the answer is sent."""
    if (request := current_request.get()) is not None:
        request.status = message["status"]
        cast("list[tuple[bytes, bytes]]", message["headers"]).append((b"x-request-id", request.id.encode()))
