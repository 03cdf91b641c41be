"""Headers that every answer has."""

from collections.abc import Awaitable
from typing import cast

from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send

_EVERYWHERE = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
# Answers are data. If a browser renders one as something else, it may load and run nothing.
_DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
# Swagger UI sets inline styles and shows images from data URLs.
_DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# The page holds tokens. Only its own files are scripts, and they may not turn text into markup (Trusted Types). The one
# policy that is allowed names the service worker.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self'; manifest-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types service-worker"
)

PAGE = {"response_headers": "page"}
"""The `opt` of a handler whose answers belong to the page."""
DOCS = {"response_headers": "docs"}
"""The `opt` of a handler whose answers belong to the documentation."""

_POLICY = b"content-security-policy"
# A browser may keep files but must revalidate them each time, so that a new version of the service shows at once.
_REVALIDATE = (b"cache-control", b"no-cache")
_OF_DATA = [*_EVERYWHERE, (_POLICY, _DATA_POLICY.encode())]
_OF_FILES = {
    "docs": [*_EVERYWHERE, (_POLICY, _DOCS_POLICY.encode()), _REVALIDATE],
    "page": [*_EVERYWHERE, (_POLICY, _PAGE_POLICY.encode()), _REVALIDATE],
}


def with_response_headers(app: ASGIApp) -> ASGIApp:
    """Return the application with what protects a browser, and keeps caches from sharing one person's answers."""

    def serve(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        def send_with_headers(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                _add_headers(message, scope)
            return send(message)

        return app(scope, receive, send_with_headers)

    return serve


def _add_headers(message: HTTPResponseStartEvent, scope: Scope) -> None:
    # No handler sets any of these except Vary, so they are appended, which costs less than looking for each.
    headers = cast("list[tuple[bytes, bytes]]", message["headers"])
    handler = scope.get("route_handler")
    kind = None if handler is None else handler.opt.get("response_headers")
    if kind is not None:
        headers += _OF_FILES[kind]
        return
    headers += _OF_DATA
    if "user" in scope and _have_tag(headers):
        # A client may keep it and must revalidate it each time, which costs a 304 if nothing has changed.
        headers.append((b"cache-control", b"private, no-cache"))
        headers.append((b"vary", b"Authorization"))
    else:
        headers.append((b"cache-control", b"no-store"))


def _have_tag(headers: list[tuple[bytes, bytes]]) -> bool:
    for name, _ in headers:  # noqa: SIM110 - a generator takes five times as long, on every answer
        if name == b"etag":
            return True
    return False
