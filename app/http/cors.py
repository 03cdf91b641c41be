"""How a preflight request is refused."""

from http import HTTPStatus
from typing import Any

from litestar import Request
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app.http.problems import refused_preflight


class PreflightProblems:
    """Goes around Litestar's CORS, and answers with a problem document where that refuses a request with plain text."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        # CORS answers OPTIONS itself where there is an origin, and then 400 says that it refuses.
        if scope.get("method") != "OPTIONS" or not any(name == b"origin" for name, _ in scope["headers"]):
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
