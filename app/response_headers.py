"""Headers that every answer carries, whoever made it."""

from litestar.datastructures import MutableScopeHeaders
from litestar.types import Message, Scope

_EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
# Answers are data: whatever a browser is made to take one for, it may load and run nothing.
_DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
# Swagger UI sets styles on elements and shows images that it carries as data.
_DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def add_response_headers(message: Message, scope: Scope) -> None:
    """Add what protects a browser, and what keeps caches on the way from sharing one person's answers."""
    if message["type"] != "http.response.start":
        return
    headers = MutableScopeHeaders(message)
    headers.update(_EVERYWHERE)
    is_docs = scope["path"] == "/docs" or scope["path"].startswith("/docs/")
    headers["content-security-policy"] = _DOCS_POLICY if is_docs else _DATA_POLICY
    if "user" in scope:
        # The client may keep it and must ask each time, which costs a 304 where nothing changed.
        headers["cache-control"] = "private, no-cache"
        headers.extend_header_value("vary", "Authorization")
    elif not is_docs:
        headers["cache-control"] = "no-store"
