"""What is unusual in HTTP/1.1, and yet allowed or at least sent."""

import json
import re
import socket

import pytest

from tests.e2e.server import Client, Server

# Whatever the database is.
pytestmark = pytest.mark.parametrize("server", ["one process on SQLite"], indirect=True)

BODY = b'{"text": "Hello, timeline!"}'
CHUNKS = b"5\r\n" + BODY[:5] + b"\r\n%x\r\n" % len(BODY[5:]) + BODY[5:] + b"\r\n0\r\n"


def head(line: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([line + b" HTTP/1.1", b"Host: x", b"Content-Type: application/json", *headers, b"", b""])


def bearer(person: Client) -> bytes:
    return f"Authorization: Bearer {person.tokens['access_token']}".encode()


def exchange(server: Server, *pieces: bytes) -> bytes:
    """Send the pieces on one connection, and return all that is received until it is closed."""
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        with connection.makefile("rb") as answers:
            return answers.read()


def statuses(answers: bytes) -> list[bytes]:
    return re.findall(rb"HTTP/1\.1 (\d+) ", answers)


@pytest.mark.parametrize("is_chunked", [False, True], ids=["of known length", "in chunks"])
@pytest.mark.parametrize("piece_size", [10_000, 30, 1])
def test_an_offer_of_another_protocol_is_passed_over(server: Server, piece_size: int, is_chunked: bool) -> None:
    ada = Client.sign_up(server.url, f"offer{piece_size}{is_chunked}@example.com")
    length = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d" % len(BODY)
    # As clients in Java send it, who would rather speak HTTP/2.
    offer = [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk"]
    request = head(b"POST /posts", bearer(ada), *offer, length) + (CHUNKS + b"\r\n" if is_chunked else BODY)
    request += head(b"GET /posts", bearer(ada), b"Connection: close")

    answers = exchange(server, *(request[start : start + piece_size] for start in range(0, len(request), piece_size)))

    assert statuses(answers) == [b"201", b"200"]
    assert [post["text"] for post in ada.list()] == ["Hello, timeline!"]


def test_any_number_of_offers_may_come_at_once(server: Server) -> None:
    offer = head(b"GET /health/live", b"Connection: Upgrade", b"Upgrade: h2c")

    answers = exchange(server, 2000 * offer + head(b"GET /health/live", b"Connection: close"))

    assert statuses(answers) == 2001 * [b"200"]


def test_a_web_socket_is_not_opened(server: Server) -> None:
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="

    offer = head(b"GET /health/live", b"Connection: Upgrade, close", b"Upgrade: websocket", key)

    assert statuses(exchange(server, offer)) == [b"200"]


def test_a_trailer_is_no_header(server: Server) -> None:
    ada = Client.sign_up(server.url, "trailer@example.com")
    request = head(b"POST /posts", b"Transfer-Encoding: chunked", b"Connection: close") + CHUNKS

    assert statuses(exchange(server, request + bearer(ada) + b"\r\n\r\n")) == [b"401"]
    assert ada.list() == []


@pytest.mark.parametrize(
    "request_",
    [
        head(b"nonsense"),
        head(b"BREW /posts"),
        head(b"CONNECT example.com:443"),
        head(b"GET /\x01"),
        head(b"GET /health/live", b"Host: another"),
        b"GET /health/live HTTP/1.1\r\n\r\n",
    ],
    ids=["nonsense", "an unknown method", "a tunnel", "a control character", "two hosts", "no host"],
)
def test_what_is_no_request_is_answered_in_the_usual_form(server: Server, request_: bytes) -> None:
    answer, _, body = exchange(server, request_).partition(b"\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\n")
    assert json.loads(body) == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "Invalid HTTP request received.",
    }


def test_what_came_before_it_is_answered_first(server: Server) -> None:
    ada = Client.sign_up(server.url, "before@example.com")
    request = head(b"POST /posts", bearer(ada), b"Content-Length: %d" % len(BODY)) + BODY

    assert statuses(exchange(server, request + head(b"nonsense"))) == [b"201"]
    assert len(ada.list()) == 1


def test_a_client_of_http_1_0_needs_no_host(server: Server) -> None:
    assert statuses(exchange(server, b"GET /health/live HTTP/1.0\r\n\r\n")) == [b"200"]
