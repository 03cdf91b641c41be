"""The HTTP/1.1 protocol class, with applications that misbehave."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from app.server.http_protocol import BoundedProtocol


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[int]:
    """Serve the application on a local port, and yield the port."""
    config = Config(app, http=BoundedProtocol, log_config=None)
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: BoundedProtocol(config=config, server_state=ServerState(), app_state={}), "127.0.0.1", 0
    )
    async with server:
        yield server.sockets[0].getsockname()[1]


async def answer(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


async def breaking_off(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"the first half", "more_body": True})
    raise RuntimeError("no second half")


async def in_parts(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for part in (b"one ", b"", b"two"):
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def test_a_body_without_chunks_that_breaks_off_resets_the_connection() -> None:
    async with serving(breaking_off) as port:
        with pytest.raises(ConnectionResetError):
            await answer(port, b"GET / HTTP/1.0\r\n\r\n")


async def test_a_body_in_chunks_that_breaks_off_has_no_last_chunk() -> None:
    async with serving(breaking_off) as port:
        received = await answer(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    assert received.endswith(b"the first half\r\n")


async def test_a_body_of_unknown_length_is_sent_as_the_client_can_read_it() -> None:
    async with serving(in_parts) as port:
        old = await answer(port, b"GET / HTTP/1.0\r\n\r\n")
        new = await answer(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert old == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\none two"
    assert new.endswith(b"transfer-encoding: chunked\r\n\r\n4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n")
