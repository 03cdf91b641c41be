"""304 for static files."""

from litestar.datastructures import Headers
from litestar.status_codes import HTTP_200_OK, HTTP_304_NOT_MODIFIED
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app.http.etags import matches_any
from app.http.headers import joined_header


class NotModifiedMiddleware:
    """Answers with 304 if `If-None-Match` contains the file's ETag (RFC 9110, section 13.1.2).

    Litestar sends an ETag with files, but does not compare it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request for a file."""
        if_none_match = joined_header(scope, "if-none-match")
        is_not_modified = False

        async def send_if_modified(message: Message) -> None:
            nonlocal is_not_modified
            if message["type"] == "http.response.start" and message["status"] == HTTP_200_OK:
                tag = Headers(message["headers"]).get("etag", "")
                if is_not_modified := matches_any(if_none_match, tag):
                    headers = [(name, value) for name, value in message["headers"] if name != b"content-length"]
                    await send({**message, "status": HTTP_304_NOT_MODIFIED, "headers": headers})
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
            if not is_not_modified:
                await send(message)

        await self._app(scope, receive, send_if_modified)
