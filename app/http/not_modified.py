"""Files that a browser has already are not sent again."""

from litestar.datastructures import Headers
from litestar.status_codes import HTTP_200_OK, HTTP_304_NOT_MODIFIED
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app.http.etags import matches_any
from app.http.headers import joined_header


class NotModifiedMiddleware:
    """Answers with 304 where `If-None-Match` names the file's ETag (RFC 9110, section 13.1.2).

    Litestar gives files an ETag, and leaves it at that.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request for a file."""
        if_none_match = joined_header(scope, "if-none-match")
        is_spared = False

        async def send_if_new(message: Message) -> None:
            nonlocal is_spared
            if message["type"] == "http.response.start" and message["status"] == HTTP_200_OK:
                tag = Headers(message["headers"]).get("etag", "")
                if is_spared := matches_any(if_none_match, tag):
                    headers = [(name, value) for name, value in message["headers"] if name != b"content-length"]
                    await send({**message, "status": HTTP_304_NOT_MODIFIED, "headers": headers})
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
            if not is_spared:
                await send(message)

        await self._app(scope, receive, send_if_new)
