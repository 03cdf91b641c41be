"""What Litestar leaves to be said of methods: HEAD, and what OPTIONS answers (RFC 9110, section 9.3)."""

from copy import copy

from litestar import Response
from litestar.plugins import ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute
from litestar.status_codes import HTTP_204_NO_CONTENT
from litestar.types import ASGIApp, HTTPDisconnectEvent, Message, Receive, Scope, Send


class CompleteMethods(ReceiveRoutePlugin):
    """Lets every address that takes GET take HEAD, and lets OPTIONS name all that an address takes.

    Litestar's own answer to OPTIONS names the methods of only one of an address's handlers.
    """

    def receive_route(self, route: BaseRoute) -> None:
        """Complete one address."""
        if not isinstance(route, HTTPRoute):
            return
        handlers = route.route_handler_map
        if "GET" in handlers and "HEAD" not in handlers:
            handler, parameters = handlers["GET"]
            head = copy(handler)
            # An id names one operation; the document leaves HEAD out.
            head.operation_id = None
            handlers["HEAD"] = (head, parameters)
        allow = ", ".join(sorted(handlers))
        options, _ = handlers["OPTIONS"]
        options(lambda scope: Response(None, status_code=HTTP_204_NO_CONTENT, headers={"Allow": allow}))  # noqa: ARG005


class HeadMiddleware:
    """Ends the answer to HEAD with its headers, be its body endless: to the handler the client has then left."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope.get("method") != "HEAD":
            await self._app(scope, receive, send)
            return

        async def leave() -> HTTPDisconnectEvent:
            return {"type": "http.disconnect"}

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, leave, send_head)
