"""What is kept of each request: a count and a duration."""

from time import perf_counter
from typing import cast

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app.metrics import Metrics
from app.request_context import RequestContext, current_request


class RequestWatch:
    """Watches each request from its beginning to the end of its answer.

    It stands around the whole application: what stands among Litestar's middleware never hears of unknown addresses.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

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
            self._metrics.answered(request.method, request.route, request.status, seconds)
            current_request.reset(token)


async def sign_answer(message: Message, _: Scope) -> None:
    """Tell the client the request's id, before the answer is sent."""
    if message["type"] == "http.response.start" and (request := current_request.get()) is not None:
        request.status = message["status"]
        cast("list[tuple[bytes, bytes]]", message["headers"]).append((b"x-request-id", request.id.encode()))
