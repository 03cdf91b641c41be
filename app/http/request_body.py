"""Reads request bodies, within bounds on size, structure and the memory that all of them take together."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from itertools import islice
from typing import Any

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import HTTPException, InternalServerException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.types import ASGIApp, Empty, Message, Receive, Scope, Send
from litestar.utils.scope.state import ScopeState

from app.errors import InvalidRequest, Overloaded, TooManyRequests, UnsupportedMediaType
from app.http.headers import joined_header
from app.ports.security import Principal
from app.shares import Held, Share

MAX_TEXT_BYTES = 1_048_576
"""The body limit of routes that take a post's text."""
MAX_URL_BYTES = 16_384
"""The body limit of routes that take a URL: 2,048 characters, each of which may be escaped in six bytes."""
MAX_FORM_BYTES = 4096
"""The body limit of all other routes: an address and two passwords, with every character escaped, fit into it."""

ACCEPT_PATCH = "application/json, application/merge-patch+json"
"""What PATCH takes (RFC 5789, section 3.1). An object of the fields to replace is a merge patch (RFC 7396)."""
IS_STREAMED = "is_streamed"
"""The option of routes that read their body as it arrives (`app.http.large_bodies`)."""

_CLIENT_DISCONNECTED = 499
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MAX_PARTS = 100
_PARTS = "max_parts"
# A JSON string. The quantifiers are possessive, so that it is found or missed in one pass.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_WITHOUT_BODY = {"GET", "HEAD", "OPTIONS"}
# What Python takes for a chunk besides its bytes.
_CHUNK_OVERHEAD_BYTES = 64
_LINGER_SECONDS = 2

_decode_any = msgspec.json.Decoder().decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class JSONRequest(Request[Any, Any, State]):
    """A request whose body, if any, must be JSON and declared as JSON."""

    async def body(self) -> bytes:
        """Return the body.

        Raises:
            UnsupportedMediaType: The body has a content coding, such as gzip (RFC 9110, section 8.4).
            HTTPException: The body is larger than the route takes (413), or the client disconnected before it was
                complete. The status is then 499, for metrics only; Litestar's own would count as an error of the
                service.
        """
        refuse_content_encoding(self.scope)
        try:
            return await super().body()
        except RequestEntityTooLarge:
            limit = self.route_handler.resolve_request_max_body_size()
            raise RequestEntityTooLarge(detail=too_large(limit)) from None
        except InternalServerException:
            raise client_disconnected() from None

    async def json(self) -> Any:
        """Return the decoded body.

        Raises:
            UnsupportedMediaType: `Content-Type` is not JSON, nor for PATCH a JSON merge patch.
            InvalidRequest: The body is not JSON, or not UTF-8, or has more fields and items than the route takes.
        """
        is_patch = self.method == "PATCH"
        media_type = self.content_type[0]
        if media_type and media_type not in (ACCEPT_PATCH.split(", ") if is_patch else ["application/json"]):
            raise UnsupportedMediaType(
                "Send the body as JSON, with the header Content-Type: application/json.",
                headers={"Accept-Patch": ACCEPT_PATCH} if is_patch else None,
            )
        return decode(await self.body(), self.route_handler.opt.get(_PARTS, _MAX_PARTS))


class BodyShareMiddleware:
    """Bounds the bytes of request bodies that the process holds, while they arrive and until they are answered.

    A user has a share of them, or before log-in a client's address, as `client_key` names it. A request beyond it is
    refused, and its connection closed. A route with the option `IS_STREAMED` holds little of its body, which is not
    counted.
    """

    def __init__(self, app: ASGIApp, share: Share, client_key: Callable[[str | None], Hashable]) -> None:
        self._app = app
        self._share = share
        self._client_key = client_key

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request."""
        if scope.get("method") in _WITHOUT_BODY or IS_STREAMED in scope["route_handler"].opt:
            return self._app(scope, receive, send)
        return self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        held = Held(self._share, self._key(scope))
        is_refused = False

        async def receive_counted() -> Any:
            nonlocal is_refused
            message = await receive()
            if message["type"] == "http.request" and (size := len(message["body"])):
                try:
                    held.add(size + _CHUNK_OVERHEAD_BYTES)
                except (TooManyRequests, Overloaded) as error:
                    is_refused = True
                    error.headers["Connection"] = "close"
                    # The error's traceback would keep it until the connection is closed.
                    message["body"] = b""
                    raise
            return message

        async def send_and_linger(message: Message) -> None:
            if is_refused and message["type"] == "http.response.body" and not message.get("more_body"):
                await send({**message, "more_body": True})
                await _discard(receive)
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        try:
            await self._app(scope, receive_counted, send_and_linger)
        finally:
            held.give_back()
            # Litestar keeps the body in the scope, which the server keeps until the connection's next request.
            ScopeState.from_scope(scope).body = Empty

    def _key(self, scope: Scope) -> Hashable:
        if "user" in scope:
            principal: Principal = scope["user"]
            return principal.user_id
        client = scope.get("client")
        return self._client_key(client[0] if client else None)


async def _discard(receive: Receive) -> None:
    """Discard the rest of a body for a moment: closing with unread data may lose the answer (RFC 9112, section 9.6)."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            while await _has_more(receive):
                pass


async def _has_more(receive: Receive) -> bool:
    message = await receive()
    return message["type"] == "http.request" and message.get("more_body", False)


def refuse_content_encoding(scope: Scope) -> None:
    """Raise `UnsupportedMediaType` if the body has a content coding, such as gzip (RFC 9110, section 8.4)."""
    codings = joined_header(scope, "content-encoding") or ""
    if any(coding.strip().lower() not in {"", "identity"} for coding in codings.split(",")):
        raise UnsupportedMediaType(
            "Send the body as it is, without Content-Encoding.", headers={"Accept-Encoding": "identity"}
        )


def client_disconnected() -> HTTPException:
    """Return the error of a client that left before its body was complete. It is counted, and not sent."""
    return HTTPException("The client left first.", status_code=_CLIENT_DISCONNECTED)


def too_large(limit: int | None) -> str:
    """Return the detail of the 413 of a route with this limit."""
    return f"The body is larger than {limit:,} bytes."


def max_parts(count: int) -> dict[str, int]:
    """Return the `opt` of a handler whose body may have so many fields and items, instead of 100."""
    return {_PARTS: count}


def decode(body: bytes, max_parts: int = _MAX_PARTS) -> Any:
    """Decode a JSON body in a time that its content can't stretch.

    A byte order mark is ignored (RFC 8259, section 8.1). Of members with one name, the last counts.

    Raises:
        InvalidRequest: The body is not JSON, or not UTF-8, or has more fields and items than `max_parts`.
    """
    body = body.removeprefix(_BYTE_ORDER_MARK)
    try:
        decoded = _decode_any(body) if len(body) <= MAX_URL_BYTES else _decode_large(body, max_parts)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest("The body is not valid JSON in UTF-8.") from None
    if _count_parts(decoded, max_parts) > max_parts:
        raise _too_many_parts(max_parts)
    return decoded


def _decode_large(body: bytes, max_parts: int) -> Any:
    """Decode a body that is large because of its texts.

    To build a million small objects would take a quarter of a second. So the members are only separated at first, which
    builds nothing, and whatever is no text must be small.
    """
    try:
        members = _decode_members(body)
    except msgspec.ValidationError:
        raise InvalidRequest("The body is not a JSON object.") from None
    # A field has a name and perhaps a text.
    max_strings = 2 * max_parts
    sizes = (_size_without_strings(bytes(member), max_strings) for member in members.values())
    if len(members) > max_parts or sum(sizes) > MAX_URL_BYTES:
        raise _too_many_parts(max_parts)
    return {name: _decode_any(member) for name, member in members.items()}


def _size_without_strings(encoded: bytes, max_strings: int) -> int:
    """Return the size of valid JSON without its strings, of which so many are looked for."""
    if encoded.startswith(b'"'):
        return 0
    strings = islice(_STRING.finditer(encoded), max_strings)
    return len(encoded) - sum(string.end() - string.start() for string in strings)


def _too_many_parts(max_parts: int) -> InvalidRequest:
    return InvalidRequest(f"The body has more than {max_parts} fields and items.")


def _count_parts(decoded: Any, max_parts: int) -> int:
    """Count the fields and items, and stop when there are too many."""
    count, unseen = 0, [decoded]
    while unseen and count <= max_parts:
        part = unseen.pop()
        if isinstance(part, dict | list):
            count += len(part)
            unseen.extend(part.values() if isinstance(part, dict) else part)
    return count
