"""Connections to the receivers of webhooks: to addresses that were checked, and bounded in what they may send."""

import asyncio
import select
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import anyio
import httpcore
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute, TLSStream
from typing_extensions import override

from app.delivery.destinations import PublicDestinations
from app.delivery.host_lookup import LocalResourcesExhausted, is_exhaustion

_ADDRESSES_TRIED = 4
_CONNECT_SECONDS = 3
_MAX_ANSWER_BYTES = 16 * 1024
# With the certificates and all else that TLS adds.
_MAX_WIRE_BYTES = 64 * 1024
# What is read at once is parsed at once, while the event loop does nothing else.
_CHUNK_BYTES = 4096


class AnswerTooLong(Exception):
    """The receiver sent more than an answer may take, with its interim responses."""

    def __init__(self) -> None:
        super().__init__(f"the answer is too long: more than {_MAX_ANSWER_BYTES // 1024} KiB before its end")


class CheckedConnections(httpcore.AsyncNetworkBackend):
    """Connects to the very address that was checked: if the name were resolved again, it could stand for another."""

    def __init__(self, destinations: PublicDestinations) -> None:
        self._destinations = destinations

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = (await self._destinations.resolve(host))[:_ADDRESSES_TRIED]
        for address in addresses[:-1]:
            try:
                return await _connect(address, port)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await _connect(addresses[-1], port)

    @override
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _connect(address: str, port: int) -> httpcore.AsyncNetworkStream:
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            stream = await anyio.connect_tcp(address, port)
    except TimeoutError as error:
        raise httpcore.ConnectTimeout from error
    except OSError as error:
        if is_exhaustion(error) or (error.__cause__ is not None and is_exhaustion(error.__cause__)):
            raise LocalResourcesExhausted from None
        raise httpcore.ConnectError from error
    wire = _CountedStream(stream)
    return _BoundedStream(wire, wire)


class _CountedStream(ByteStream):
    """Counts the bytes that arrive, those of TLS included, and raises `AnswerTooLong` when they are too many."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self.received = 0

    @override
    async def receive(self, max_bytes: int = _CHUNK_BYTES) -> bytes:
        received = await self._stream.receive(min(max_bytes, _CHUNK_BYTES))
        self.received += len(received)
        if self.received > _MAX_WIRE_BYTES:
            raise AnswerTooLong
        return received

    @override
    async def send(self, item: bytes) -> None:
        await self._stream.send(item)

    @override
    async def send_eof(self) -> None:
        await self._stream.send_eof()

    @override
    async def aclose(self) -> None:
        await self._stream.aclose()

    @property
    @override
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self._stream.extra_attributes


class _BoundedStream(httpcore.AsyncNetworkStream):
    """What one request is answered with is bounded: counting begins again when something is written.

    The timeouts of single steps are not used, because the attempt as a whole has one.
    """

    def __init__(self, stream: ByteStream, wire: _CountedStream) -> None:
        self._stream = stream
        self._wire = wire
        self._read = 0

    @override
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            received = await self._stream.receive(min(max_bytes, _CHUNK_BYTES))
        except anyio.EndOfStream:
            return b""
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
            raise httpcore.ReadError from error
        self._read += len(received)
        if self._read > _MAX_ANSWER_BYTES:
            raise AnswerTooLong
        return received

    @override
    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._read = self._wire.received = 0
        try:
            await self._stream.send(buffer)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
            raise httpcore.WriteError from error

    @override
    async def aclose(self) -> None:
        await self._stream.aclose()

    @override
    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            stream = await TLSStream.wrap(
                self._wire,
                ssl_context=ssl_context,
                hostname=server_hostname,
                standard_compatible=False,
                server_side=False,
            )
        except (anyio.BrokenResourceError, anyio.EndOfStream, OSError) as error:
            await self.aclose()
            raise httpcore.ConnectError from error
        except BaseException:
            await self.aclose()
            raise
        return _BoundedStream(stream, self._wire)

    @override
    def get_extra_info(self, info: str) -> Any:
        match info:
            case "ssl_object":
                return self._stream.extra(TLSAttribute.ssl_object, None)  # noqa: S610 - it is not Django's
            case "is_readable":
                return _is_readable(self._stream.extra(SocketAttribute.raw_socket, None))  # noqa: S610
            case _:
                return None


def _is_readable(connection: socket.socket | None) -> bool:
    """Return whether an idle connection was closed by the receiver, or has something to read that nobody asked for."""
    if connection is None or connection.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
