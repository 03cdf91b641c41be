"""Requests whose bodies arrive as slowly as a test wants, or never to their end."""

import socket
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class UnfinishedRequest:
    """A POST on a connection of its own to a started server; what `send` is given arrives, and nothing else."""

    def __init__(
        self, url: str, path: str, *headers: str, length: int = 1_048_576, media_type: str = "application/json"
    ) -> None:
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname, address.port or 80), timeout=30)
        lines = (f"POST {path} HTTP/1.1", f"Host: {address.netloc}", f"Content-Type: {media_type}", *headers)
        self.send("".join(f"{line}\r\n" for line in (*lines, f"Content-Length: {length}", "")).encode())

    def send(self, part: bytes) -> None:
        """Send a part of the body.

        Raises:
            ConnectionError: The server has closed the connection.
        """
        self._socket.sendall(part)

    def answer(self) -> bytes:
        """Return all that the server says until it closes the connection."""
        with self._socket.makefile("rb") as answer:
            return answer.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()
