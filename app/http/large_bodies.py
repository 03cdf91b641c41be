"""Large request bodies: read as they arrive, and as slowly as they are worked on."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any

from litestar import Request
from litestar.types import Scope

from app.errors import BodyTooLarge, TooSlow, UnsupportedMediaType
from app.http.request_body import client_disconnected, refuse_content_encoding, too_large

BODY_TIME = "postline.body_time"
"""The extension of the ASGI scope with the function that lifts the server's time limit of this body, or restores it."""


@dataclass(frozen=True)
class BodyPolicy:
    """How slowly a large body may arrive: a client has `grace`, and as much longer as it needs at `least_rate`.

    Times are in seconds, the rate in bytes a second. The time in which the service works on what has arrived does not
    count.
    """

    grace: float = 60
    least_rate: int = 4 * 1024


class LargeBodies:
    """Reads bodies of at most `max_bytes`, of which it holds no more than has just arrived."""

    def __init__(self, max_bytes: int, policy: BodyPolicy) -> None:
        self._max_bytes = max_bytes
        self._policy = policy

    async def stream(self, request: Request[Any, Any, Any], media_types: frozenset[str]) -> AsyncGenerator[bytes]:
        """Yield the body as it arrives. The next part is not received before the last one was worked on.

        Raises:
            BodyTooLarge: The body has too many bytes. If its length is declared, nothing of it is read.
            TooSlow: It arrives too slowly.
            UnsupportedMediaType: It is declared as something else, or has a content coding.
            HTTPException: The client disconnected before it was complete (499, for metrics only).
        """
        refuse_content_encoding(request.scope)
        if request.content_type[0] not in media_types | {""}:
            raise UnsupportedMediaType(f"Send the body as {' or '.join(sorted(media_types))}.")
        if (request.content_length or 0) > self._max_bytes:
            raise BodyTooLarge(too_large(self._max_bytes))
        limit_time = _limit_time(request.scope)
        limit_time(is_limited=False)
        clock = asyncio.get_running_loop().time
        received, waited, more_body = 0, 0.0, True
        try:
            while more_body:
                began = clock()
                try:
                    async with asyncio.timeout(self._policy.grace + received / self._policy.least_rate - waited):
                        message = await request.receive()
                except TimeoutError:
                    raise TooSlow("The body arrives too slowly.", headers={"Connection": "close"}) from None
                waited += clock() - began
                if message["type"] != "http.request":
                    raise client_disconnected()
                more_body = message["more_body"]
                received += len(message["body"])
                if received > self._max_bytes:
                    raise BodyTooLarge(too_large(self._max_bytes))
                yield message["body"]
        finally:
            # What is left of a refused body is discarded within the server's own limit.
            limit_time(is_limited=True)


def _limit_time(scope: Scope) -> Callable[..., None]:
    extensions: Any = scope.get("extensions") or {}
    limit: Callable[..., None] = extensions.get(BODY_TIME, {}).get("limit", _leave)
    return limit


def _leave(*, is_limited: bool) -> None:
    """Do nothing: this server has no such limit."""
