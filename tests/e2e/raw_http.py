"""Requests as bytes on a socket, for what no HTTP client would send."""

import re
import socket

from tests.e2e.server import Client, Server


def head(line: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([line + b" HTTP/1.1", b"Host: x", b"Content-Type: application/json", *headers, b"", b""])


def old_head(line: bytes, *headers: bytes) -> bytes:
    """Return the head of a request of HTTP/1.0."""
    return b"\r\n".join([line + b" HTTP/1.0", *headers, b"", b""])


def answer_to(answers: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """Return status, headers and body of a single answer; the body is all that follows the head."""
    start, _, body = answers.partition(b"\r\n\r\n")
    line, *fields = start.split(b"\r\n")
    return int(line.split()[1]), {name.lower(): value for name, value in (f.split(b": ", 1) for f in fields)}, body


def bearer(person: Client) -> bytes:
    return f"Authorization: Bearer {person.tokens['access_token']}".encode()


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=30)


def exchange(server: Server, *pieces: bytes) -> bytes:
    """Send the pieces on one connection, and return all that is received until it is closed."""
    with connect(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        with connection.makefile("rb") as answers:
            return answers.read()


def statuses(answers: bytes) -> list[bytes]:
    return re.findall(rb"HTTP/1\.1 (\d+) ", answers)
