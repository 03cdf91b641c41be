"""Makes the HTTP requests of webhooks, to addresses that users choose."""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

import httpcore
from typing_extensions import override

from app.delivery.destinations import PublicDestinations

_CALL_SECONDS = 10
_EXCERPT_BYTES = 1024
_ADDRESSES_TRIED = 3
_CONNECT_SECONDS = 3


class Answer(NamedTuple):
    """A receiver's answer: the status, and the beginning of the body."""

    status: int
    excerpt: bytes


class _CheckedConnections(httpcore.AsyncNetworkBackend):
    """Connects to the very address that was checked: if the name were resolved again, it could stand for another."""

    def __init__(self, destinations: PublicDestinations) -> None:
        self._destinations = destinations
        self._backend: httpcore.AsyncNetworkBackend = httpcore.AnyIOBackend()  # pyright: ignore[reportAttributeAccessIssue]

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        timeout = _CONNECT_SECONDS if timeout is None else min(timeout, _CONNECT_SECONDS)
        addresses = (await self._destinations.resolve(host, port))[:_ADDRESSES_TRIED]
        for address in addresses[:-1]:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._backend.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    @override
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class WebhookClient:
    """Sends `POST` requests. It does not follow redirects, and ignores proxies set in the environment."""

    def __init__(
        self, destinations: PublicDestinations, *, max_connections: int, seconds: float = _CALL_SECONDS
    ) -> None:
        self._seconds = seconds
        self._pool = httpcore.AsyncConnectionPool(
            # Created once: it takes tens of milliseconds, which would block the event loop.
            ssl_context=httpcore.default_ssl_context(),
            network_backend=_CheckedConnections(destinations),
            max_connections=max_connections,
            keepalive_expiry=30,
        )

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """Return the receiver's answer.

        Raises:
            ForbiddenDestination: The address may not be called.
            TimeoutError: There is no answer in time.
            httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException: There is no answer at all.
        """
        excerpt = bytearray()
        async with (
            asyncio.timeout(self._seconds),
            self._pool.stream("POST", url, headers=list(headers.items()), content=body) as response,
        ):
            async for chunk in response.aiter_stream():
                excerpt += chunk
                if len(excerpt) >= _EXCERPT_BYTES:
                    break
        return Answer(response.status, bytes(excerpt[:_EXCERPT_BYTES]))

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.aclose()
