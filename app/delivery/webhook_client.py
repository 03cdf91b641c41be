"""Makes the HTTP requests of webhooks, to addresses that users choose."""

import asyncio
from collections.abc import Iterable
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import cache
from typing import NamedTuple

import httpcore

from app.delivery.destinations import PublicDestinations
from app.delivery.receiver_connections import CheckedConnections
from models.columns import now

_CALL_SECONDS = 15
_EXCERPT_BYTES = 1024


# Once a process: to load the certificates takes tens of milliseconds.
default_tls = cache(httpcore.default_ssl_context)


class Answer(NamedTuple):
    """A receiver's answer: status, beginning of the body, and the seconds after which it asks to be called again."""

    status: int
    excerpt: bytes
    retry_after: float | None = None


class WebhookClient:
    """Sends `POST` requests. It does not follow redirects, and ignores proxies set in the environment."""

    def __init__(
        self, destinations: PublicDestinations, *, max_connections: int, seconds: float = _CALL_SECONDS
    ) -> None:
        self._destinations = destinations
        self._max_connections = max_connections
        self._seconds = seconds
        self._connections: httpcore.AsyncConnectionPool | None = None

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """Return the receiver's answer. After 1 KiB of its body the connection is closed.

        Raises:
            ForbiddenDestination: The address may not be called.
            AnswerTooLong: The receiver sends more than an answer may take.
            LocalResourcesExhausted: This process could not make the request.
            TimeoutError: There is no answer in time.
            httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException: There is no answer at all.
        """
        excerpt, pool = bytearray(), await self._pool()
        async with (
            asyncio.timeout(self._seconds),
            pool.stream("POST", url, headers=list(headers.items()), content=body) as response,
        ):
            async for chunk in response.aiter_stream():
                excerpt += chunk
                if len(excerpt) >= _EXCERPT_BYTES:
                    break
        return Answer(response.status, bytes(excerpt[:_EXCERPT_BYTES]), retry_after(response.headers))

    async def close(self) -> None:
        """Close every connection."""
        if self._connections is not None:
            await self._connections.aclose()

    async def _pool(self) -> httpcore.AsyncConnectionPool:
        if self._connections is None:
            tls = await asyncio.to_thread(default_tls)
            # Another request may have been quicker.
            self._connections = self._connections or httpcore.AsyncConnectionPool(
                ssl_context=tls,
                network_backend=CheckedConnections(self._destinations),
                max_connections=self._max_connections,
                keepalive_expiry=30,
            )
        return self._connections


def retry_after(headers: Iterable[tuple[bytes, bytes]]) -> float | None:
    """Return the seconds until the time in `Retry-After` (RFC 9110, section 10.2.3), or `None` without a valid one."""
    for name, value in headers:
        if name.lower() == b"retry-after":
            text = value.decode("latin-1").strip()
            if text.isascii() and text.isdigit():
                return float(text)
            return _seconds_until(text)
    return None


def _seconds_until(date: str) -> float | None:
    try:
        at = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    # A date of HTTP is in GMT, also where it says so in a way that is taken for no time zone.
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (at - now()).total_seconds())
