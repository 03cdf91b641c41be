"""Headers that every answer carries, whoever made it."""

from typing import cast

from litestar.types import Message, Scope

_EVERYWHERE = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
# Answers are data: whatever a browser is made to take one for, it may load and run nothing.
_DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
# Swagger UI sets styles on elements and shows images that it carries as data.
_DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


_POLICY = b"content-security-policy"
_OF_DATA = [*_EVERYWHERE, (_POLICY, _DATA_POLICY.encode())]
_OF_DOCS = [*_EVERYWHERE, (_POLICY, _DOCS_POLICY.encode())]


async def add_response_headers(message: Message, scope: Scope) -> None:
    """Add what protects a browser, and what keeps caches on the way from sharing one person's answers."""
    if message["type"] != "http.response.start":
        return
    # No handler sets any of these but Vary, so they are put at the end, which is cheaper than looking for each.
    headers = cast("list[tuple[bytes, bytes]]", message["headers"])
    is_docs = scope["path"] == "/docs" or scope["path"].startswith("/docs/")
    headers += _OF_DOCS if is_docs else _OF_DATA
    if "user" in scope:
        # The client may keep it and must ask each time, which costs a 304 where nothing changed.
        headers.append((b"cache-control", b"private, no-cache"))
        headers.append((b"vary", b"Authorization"))
    elif not is_docs:
        headers.append((b"cache-control", b"no-store"))
