"""The cache of lists. The key is owner, timeline version and query, so a cached list can't be stale."""

from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from litestar import Request
from litestar.config.response_cache import ResponseCacheConfig
from litestar.status_codes import HTTP_200_OK
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from litestar.utils.scope.state import ScopeState

from app.http.etags import etag
from app.http.preconditions import ConditionalAnswer, Preconditions, send_precondition_failed
from app.ports.security import Principal

_HIT = "postline; hit"
_MISS = "postline; fwd=miss"

_WITH_CACHE_STATUS = {HTTPStatus.OK, HTTPStatus.NOT_MODIFIED}
_IS_TOO_LARGE = "list_is_too_large"
_PARAMETERS = {"q", "created_after", "created_before", "limit", "cursor"}
_OF_CHANGES = {"limit", "since"}


def create_response_cache_config(seconds: int) -> ResponseCacheConfig:
    """Return the configuration of Litestar's response cache: lists are kept for at most `seconds`."""
    return ResponseCacheConfig(default_expiration=seconds, key_builder=_list_key, cache_response_filter=_is_list)


class ListCacheMiddleware:
    """Honours the preconditions of lists, and adds `Cache-Status` (RFC 9211) to every list.

    It runs between authentication and Litestar's cache. The ETag of a whole list is known from the timeline version
    alone. A page is looked up first, because its parameters may be invalid.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request for a list."""
        preconditions = Preconditions.of(scope)
        if preconditions is not None:
            if not scope["query_string"]:
                principal: Principal = scope["user"]
                current = etag(principal.timeline_version)
                status = preconditions.status_of_read(current)
                if status is HTTPStatus.PRECONDITION_FAILED:
                    await send_precondition_failed(current, scope, receive, send)
                    return
                if status is HTTPStatus.NOT_MODIFIED:
                    await _send_not_modified(send, current)
                    return
            # A change may be committed before the list is read: the version that is read counts.
            answer = ConditionalAnswer(preconditions, scope, receive, send)
            receive, send = answer.receive, answer.send

        def send_with_cache_status(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start" and message["status"] in _WITH_CACHE_STATUS:
                is_hit = message["status"] != HTTP_200_OK or ScopeState.from_scope(scope).is_cached is True
                cache_status = _HIT if is_hit else _MISS
                # A copy: the original is what the cache stores.
                message = {**message, "headers": [*message["headers"], (b"cache-status", cache_status.encode())]}
            return send(message)

        await self._app(scope, receive, send_with_cache_status)


async def _send_not_modified(send: Send, current: str) -> None:
    headers = [(b"etag", current.encode()), (b"cache-status", _HIT.encode())]
    await send({"type": "http.response.start", "status": 304, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def changes_key(request: Request[Principal, Any, Any]) -> str:
    """Return the key of a page of changes."""
    query = urlencode([(name, value) for name, value in request.query_params.multi_items() if name in _OF_CHANGES])
    return f"{request.user.user_id.hex}:{request.user.timeline_version}:changes:{query}"


# Litestar calls it twice: to look a list up, and to store it, then with the version that was read.
def _list_key(request: Request[Principal, Any, Any]) -> str:
    query = ""
    if request.scope["query_string"]:
        # As they were sent, repeated and empty ones too: which of them counts is the handler's decision.
        query = urlencode([(name, value) for name, value in request.query_params.multi_items() if name in _PARAMETERS])
    return f"{request.user.user_id.hex}:{request.user.timeline_version}:{query}"


def _is_list(scope: HTTPScope, status_code: int) -> bool:
    # Litestar calls it for every method of a path with a cached handler. Its default would store a POST's 201 too.
    return status_code == HTTP_200_OK and not scope["state"].get(_IS_TOO_LARGE)


def leave_uncached(request: Request[Any, Any, Any]) -> None:
    """Keep the answer to this request out of the cache, because the list is too large to hold."""
    request.state[_IS_TOO_LARGE] = True
