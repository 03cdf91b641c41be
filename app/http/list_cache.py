"""How lists are cached: under their owner, their timeline version and their query, so that none can be stale."""

from typing import Any
from urllib.parse import urlencode

from litestar import Request
from litestar.config.response_cache import ResponseCacheConfig
from litestar.datastructures import MutableScopeHeaders
from litestar.status_codes import HTTP_200_OK
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from litestar.utils.scope.state import ScopeState

from app.http.etags import etag, matches_any
from app.http.headers import joined_header
from app.ports.security import Principal

_HIT = "postline; hit"
_MISS = "postline; fwd=miss"

_IS_TOO_LARGE = "list_is_too_large"
_PARAMETERS = {"limit", "cursor"}


def create_response_cache_config(seconds: int) -> ResponseCacheConfig:
    """Return what makes Litestar's response caching fit lists of one user, each good for `seconds`."""
    return ResponseCacheConfig(default_expiration=seconds, key_builder=_list_key, cache_response_filter=_is_list)


class ListCacheMiddleware:
    """Answers a list that the client already has with 304, and says of every list whether the cache held it.

    It sits between authentication and Litestar's cache. Of the whole list the version is known before anything
    is looked up; a page is looked up first, for its parameters may be invalid.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request for a list."""
        principal: Principal = scope["user"]
        if_none_match = joined_header(scope, "if-none-match")
        if if_none_match is not None and not scope["query_string"]:
            current = etag(principal.timeline_version)
            if matches_any(if_none_match, current):
                await _send_not_modified(send, current, _HIT)
                return
        is_answered = False

        async def send_with_cache_status(message: Message) -> None:
            nonlocal is_answered
            if is_answered:
                return
            if message["type"] == "http.response.start" and message["status"] == HTTP_200_OK:
                cache_status = _HIT if ScopeState.from_scope(scope).is_cached is True else _MISS
                if if_none_match is not None:
                    current = MutableScopeHeaders(message)["etag"]
                    if matches_any(if_none_match, current):
                        is_answered = True
                        await _send_not_modified(send, current, cache_status)
                        return
                # A copy: the original is what the cache stores.
                message = {**message, "headers": [*message["headers"], (b"cache-status", cache_status.encode())]}
            await send(message)

        await self._app(scope, receive, send_with_cache_status)


async def _send_not_modified(send: Send, current: str, cache_status: str) -> None:
    headers = [(b"etag", current.encode()), (b"cache-status", cache_status.encode())]
    await send({"type": "http.response.start", "status": 304, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


# Litestar asks twice: for looking it up, and for storing the answer, when the version is the one that was read.
def _list_key(request: Request[Principal, Any, Any]) -> str:
    query = ""
    if request.scope["query_string"]:
        # As they were sent, repeated and empty ones too: what of them counts is for the handler to say.
        query = urlencode([(name, value) for name, value in request.query_params.multi_items() if name in _PARAMETERS])
    return f"{request.user.user_id.hex}:{request.user.timeline_version}:{query}"


def _is_list(scope: HTTPScope, status_code: int) -> bool:
    # Litestar asks for every method on a path that has a cached handler, and by default would store a POST's 201 too.
    return status_code == HTTP_200_OK and not scope["state"].get(_IS_TOO_LARGE)


def leave_uncached(request: Request[Any, Any, Any]) -> None:
    """Keep the answer to this request, which is too large to be held, out of the cache."""
    request.state[_IS_TOO_LARGE] = True
