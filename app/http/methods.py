"""HEAD and OPTIONS, which Litestar leaves incomplete (RFC 9110, section 9.3)."""

from collections.abc import Awaitable
from copy import copy

from litestar import Response
from litestar.plugins import ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute
from litestar.status_codes import HTTP_204_NO_CONTENT
from litestar.types import ASGIApp, HTTPDisconnectEvent, Message, Receive, Scope, Send

from app.http.request_body import ACCEPT_PATCH


class CompleteMethods(ReceiveRoutePlugin):
    """Adds HEAD to every route with GET, and lets OPTIONS name all methods of a route.

    Litestar's own OPTIONS names the methods of only one of the route's handlers.
    """

    def receive_route(self, route: BaseRoute) -> None:
        """Complete one route."""
        if not isinstance(route, HTTPRoute):
            return
        handlers = route.route_handler_map
        if "GET" in handlers and "HEAD" not in handlers:
            handler, parameters = handlers["GET"]
            head = copy(handler)
            # An operation id must be unique; `Contract` derives HEAD's operation from GET's.
            head.operation_id = None
            handlers["HEAD"] = (head, parameters)
        headers = {"Allow": ", ".join(sorted(handlers))}
        if "PATCH" in handlers:
            headers["Accept-Patch"] = ACCEPT_PATCH
        options, _ = handlers["OPTIONS"]
        options(lambda scope: Response(None, status_code=HTTP_204_NO_CONTENT, headers=headers))  # noqa: ARG005


class HeadMiddleware:
    """Sends only the headers of an answer to HEAD. To the handler it looks as if the client had left then."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request."""
        if scope.get("method") != "HEAD":
            return self._app(scope, receive, send)

        async def leave() -> HTTPDisconnectEvent:
            return {"type": "http.disconnect"}

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        return self._app(scope, leave, send_head)
