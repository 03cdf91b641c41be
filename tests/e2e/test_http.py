"""What is unusual in HTTP/1.1, and yet allowed or at least sent."""

import json
from hashlib import sha256

import pytest

from tests.e2e.raw_http import answer_to, bearer, connect, exchange, head, old_head, statuses
from tests.e2e.server import Client, Server

# Whatever the database is.
pytestmark = pytest.mark.parametrize("server", ["one process on SQLite"], indirect=True)

BODY = b'{"text": "Hello, timeline!"}'
CHUNKS = b"5\r\n" + BODY[:5] + b"\r\n%x\r\n" % len(BODY[5:]) + BODY[5:] + b"\r\n0\r\n"


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


@pytest.fixture(scope="module")
def writer(server: Server) -> Client:
    """Somebody whose list is too large to be held in memory, so that it is streamed."""
    person = Client.sign_up(server.url, "writer@example.com")
    for _ in range(6):
        person.add("x" * 1_000_000)
    return person


@pytest.mark.parametrize("path", ["/posts", "/posts?limit=1000", "/metrics", "/", "/openapi.json"])
def test_a_client_of_http_1_0_gets_the_body_as_it_is(server: Server, writer: Client, path: str) -> None:
    request = old_head(f"GET {path}".encode(), bearer(writer), b"Connection: keep-alive")

    status, headers, body = answer_to(exchange(server, request))

    assert status == 200
    assert b"transfer-encoding" not in headers
    assert headers[b"connection"] == b"close"
    expected = writer.request("GET", path).content
    # Metrics differ from one moment to the next.
    assert (body[:20], body[-1:]) == (expected[:20], expected[-1:])
    assert path == "/metrics" or body == expected


def test_a_client_of_http_1_0_gets_a_whole_export(server: Server, writer: Client) -> None:
    status, headers, body = answer_to(exchange(server, old_head(b"GET /me/export", bearer(writer))))

    assert status == 200
    assert b"transfer-encoding" not in headers
    *lines, last = body.splitlines(keepends=True)
    assert json.loads(last)["end"] == {"lines": len(lines), "sha256": sha256(b"".join(lines)).hexdigest()}


@pytest.mark.parametrize("path", [b"/me/export", b"/posts", b"/posts/events", b"/metrics", b"/"])
def test_head_of_a_client_of_http_1_0_has_no_body(server: Server, writer: Client, path: bytes) -> None:
    status, headers, body = answer_to(exchange(server, old_head(b"HEAD " + path, bearer(writer))))

    assert (status, body) == (200, b"")
    assert b"transfer-encoding" not in headers
    assert headers[b"connection"] == b"close"


def test_a_client_of_http_1_0_follows_the_feed(server: Server) -> None:
    ada = Client.sign_up(server.url, "old.feed@example.com")
    with connect(server) as connection, connection.makefile("rb") as answer:
        connection.sendall(old_head(b"GET /posts/events?after=0", bearer(ada)))
        head_lines = list(iter(answer.readline, b"\r\n"))
        post_id = ada.add("hello")
        lines = [line for line in iter(answer.readline, b"\n") if not line.startswith(b":")]

    assert head_lines[0] == b"HTTP/1.1 200 OK\r\n"
    assert not [line for line in head_lines if line.lower().startswith(b"transfer-encoding")]
    assert lines[:2] == [b"id: 1\n", b"event: post.created\n"]
    assert json.loads(lines[2].removeprefix(b"data: "))["postID"] == post_id


def test_a_client_of_http_1_0_gets_no_interim_answer(server: Server) -> None:
    ada = Client.sign_up(server.url, "old.expectation@example.com")
    fields = [b"Content-Type: application/json", b"Content-Length: %d" % len(BODY), b"Expect: 100-continue"]

    answers = exchange(server, old_head(b"POST /posts", bearer(ada), *fields) + BODY)

    assert statuses(answers) == [b"201"]


def test_a_client_of_http_1_1_that_expects_it_gets_an_interim_answer(server: Server) -> None:
    ada = Client.sign_up(server.url, "expectation@example.com")
    fields = [b"Content-Length: %d" % len(BODY), b"Expect: 100-continue", b"Connection: close"]

    assert statuses(exchange(server, head(b"POST /posts", bearer(ada), *fields) + BODY)) == [b"100", b"201"]


@pytest.mark.parametrize("fields", [[], [b"If-None-Match: *"]], ids=["a deletion", "an unchanged list"])
def test_an_answer_without_a_body_ends_for_a_client_of_http_1_0(server: Server, fields: list[bytes]) -> None:
    ada = Client.sign_up(server.url, f"old.empty{len(fields)}@example.com")
    line = b"GET /posts" if fields else b"DELETE /posts/" + ada.add("hello").encode()

    status, headers, body = answer_to(exchange(server, old_head(line, bearer(ada), *fields)))

    assert (status, body) == (304 if fields else 204, b"")
    assert b"transfer-encoding" not in headers


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /health/live\r\n\r\n", b"505"),
        (b"GET /health/live HTTP/0.9\r\n\r\n", b"505"),
        (b"GET /health/live HTTP/2.0\r\nHost: x\r\n\r\n", b"505"),
        (b"GET /health/live HTTP/1.2\r\nHost: x\r\n\r\n", b"400"),
        (b"GET /health/live HTTP/3.0\r\nHost: x\r\n\r\n", b"400"),
        (b"GET /health/live HTTP/1.10\r\nHost: x\r\n\r\n", b"400"),
        (b"GET /health/live http/1.1\r\nHost: x\r\n\r\n", b"400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
    ],
)
def test_other_versions_are_refused(server: Server, request_: bytes, status: bytes) -> None:
    answers = exchange(server, request_)

    assert statuses(answers) == [status]
    assert json.loads(answers.partition(b"\r\n\r\n")[2])["status"] == int(status)


@pytest.mark.parametrize("coding", [b"chunked", b"Chunked", b" CHUNKED ", b"\tchunked"])
def test_chunks_are_taken_however_their_name_is_written(server: Server, coding: bytes) -> None:
    request = head(b"POST /auth/refresh", b"Transfer-Encoding:" + coding, b"Connection: close") + CHUNKS + b"\r\n"

    assert statuses(exchange(server, request)) == [b"400"]
    assert b'"refresh_token"' in exchange(server, request)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([b"Transfer-Encoding: gzip, chunked"], b"501"),
        ([b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"], b"501"),
        ([b"Transfer-Encoding: identity, chunked"], b"501"),
        ([b"Transfer-Encoding: , chunked"], b"501"),
        ([b"Transfer-Encoding: chunked, chunked"], b"400"),
        ([b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"], b"400"),
        ([b"Transfer-Encoding: chunked,"], b"400"),
        ([b"Transfer-Encoding: chunked, gzip"], b"400"),
        ([b"Transfer-Encoding: gzip"], b"501"),
        ([b"Transfer-Encoding: identity"], b"501"),
        ([b"Transfer-Encoding: xchunked"], b"501"),
        ([b"Transfer-Encoding: chunked;q=1"], b"501"),
        ([b'Transfer-Encoding: "chunked"'], b"501"),
        ([b"Transfer-Encoding: "], b"400"),
        ([b"Transfer-Encoding: chunked\x0b"], b"400"),
        ([b"Transfer-Encoding:\r\n chunked"], b"400"),
        ([b"Transfer-Encoding : chunked"], b"400"),
        ([b"Transfer-Encoding: chunked", b"Content-Length: 5"], b"400"),
        ([b"Content-Length: 5", b"Transfer-Encoding: chunked"], b"400"),
        ([b"Content-Length: 5", b"Content-Length: 5"], b"400"),
        ([b"Content-Length: 5, 5"], b"400"),
        ([b"Content-Length: +5"], b"400"),
        ([b"Content-Length: "], b"400"),
    ],
)
def test_a_body_that_is_framed_in_another_way_is_refused(server: Server, fields: list[bytes], status: bytes) -> None:
    ada = Client.sign_up(server.url, f"framing{abs(hash((*fields,)))}@example.com")

    answers = exchange(server, head(b"POST /posts", bearer(ada), *fields) + CHUNKS + b"\r\n")

    assert statuses(answers) == [status]
    assert ada.list() == []


def test_a_client_of_http_1_0_sends_no_chunks(server: Server) -> None:
    request = old_head(b"POST /auth/refresh", b"Transfer-Encoding: chunked") + CHUNKS + b"\r\n"

    assert statuses(exchange(server, request)) == [b"400"]


def test_a_client_of_http_1_0_names_one_host_at_most(server: Server) -> None:
    assert statuses(exchange(server, old_head(b"GET /health/live", b"Host: x", b"Host: x"))) == [b"400"]


def test_a_target_that_names_the_host_reaches_the_same_address(server: Server) -> None:
    ada = Client.sign_up(server.url, "absolute@example.com")
    ada.add("hello")
    request = head(b"GET http://example.com/posts?limit=1", bearer(ada), b"Connection: close")

    _, _, body = answer_to(exchange(server, request))

    assert [post["text"] for post in json.loads(body)] == ["hello"]
