"""Clients that mean harm: they hold little, not for long, and nobody else notices."""

import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.server import Client, Server, serving

MEBIBYTE = 1_048_576
PATIENCE_SECONDS = 1
# Eight large lists are read at a time, whoever asks, and a part of each is held in several forms.
GROWTH = 192 * MEBIBYTE

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs Linux to look at a process's memory and descriptors"
)


class Target(NamedTuple):
    """A started service, and somebody who uses it well."""

    server: Server
    person: Client

    def connect(self, *, receive_buffer: int | None = None) -> socket.socket:
        connection = socket.socket()
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", int(self.server.url.rpartition(":")[2])))
        return connection

    def head(self, line: str, *headers: str) -> bytes:
        """Return a request's head, without the line that ends it."""
        token = f"Authorization: Bearer {self.person.tokens['access_token']}"
        return "".join(f"{each}\r\n" for each in (f"{line} HTTP/1.1", "Host: x", token, *headers)).encode()

    def open_sockets(self) -> int:
        """Count the sockets among the descriptors: SQLite's are more where more connections were in use at once."""
        found = 0
        for descriptor in Path(f"/proc/{self.server.process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                found += str(descriptor.readlink()).startswith("socket:")
        return found


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with serving(tmp_path_factory.mktemp("hostile"), app="tests.e2e.hasty_app:create_app") as server:
        person = Client.sign_up(server.url, "kind@example.com")
        # Its list is larger than what the system keeps for a client that does not read.
        for number in range(20):
            person.add(f"{number}" + "x" * 1_000_000)
        yield Target(server, person)


@pytest.fixture
def target(started: Target) -> Iterator[Target]:
    """The service, which must be as it was when the test has ended."""
    list_of(started)
    before, memory = started.open_sockets(), started.server.reset_peak_memory()
    yield started
    assert_answers_quickly(started)
    deadline = time.monotonic() + 5
    while started.open_sockets() > before:
        assert time.monotonic() < deadline, (before, started.open_sockets())
        time.sleep(0.05)
    growth = started.server.peak_memory() - memory
    assert growth < GROWTH, f"{growth / MEBIBYTE:.0f} MiB"
    assert "Traceback" not in started.server.output()


def test_clients_that_send_too_slowly_are_sent_away(target: Target) -> None:
    unended = target.head("GET /posts")
    body = target.head("POST /posts", "Content-Type: application/json", "Content-Length: 1000") + b"\r\n"
    with ExitStack() as stack:
        slow: dict[socket.socket, bytes] = {}
        for begin, go_on in ((b"", b""), (unended, b"X"), (body, b"{"), (body, b""), (b"", b"G")):
            for _ in range(40):
                connection = stack.enter_context(target.connect())
                connection.sendall(begin)
                slow[connection] = go_on
        deadline = time.monotonic() + PATIENCE_SECONDS + 2
        while slow:
            assert time.monotonic() < deadline, f"{len(slow)} are still there"
            assert_answers_quickly(target)
            slow = {connection: more for connection, more in slow.items() if not is_closed(connection, more)}


@pytest.mark.parametrize("piece", [b"X-A: 1\r\n" * 1000, b"X-A: " + b"a" * 60_000 + b"\r\n", b"a" * 65_536])
def test_a_head_without_end_is_cut_off(target: Target, piece: bytes) -> None:
    with target.connect() as connection:
        connection.sendall(target.head("GET /posts") + b"X-B: ")
        sent = 0
        with suppress(ConnectionError):
            while sent < 100 * MEBIBYTE:
                connection.sendall(piece)
                sent += len(piece)
        assert sent < 20 * MEBIBYTE


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"0\r\n", b"a: b\r\n" * 10_000),
        (b"0\r\na: ", b"a" * 60_000),
        (b"1; a=", b"a" * 60_000),
    ],
    ids=["trailers", "a trailer", "a chunk's extension"],
)
def test_what_comes_besides_a_body_without_end_is_cut_off(target: Target, begin: bytes, piece: bytes) -> None:
    with target.connect() as connection:
        connection.sendall(target.head("GET /health/live", "Transfer-Encoding: chunked") + b"\r\n" + begin)
        with pytest.raises(ConnectionError):
            connection.sendall(piece * 1000)


def test_an_empty_line_after_an_answer_keeps_no_connection_open(target: Target) -> None:
    with target.connect() as connection:
        connection.sendall(target.head("GET /health/live") + b"\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(65_536)
        connection.sendall(b"\r\n")
        with suppress(ConnectionError):
            assert connection.recv(65_536) == b""


def test_an_address_without_end_is_cut_off(target: Target) -> None:
    with target.connect() as connection, pytest.raises(ConnectionError):
        connection.sendall(b"GET /" + b"a" * 100 * MEBIBYTE)


def test_thousands_of_connections_leave_nothing_behind(target: Target) -> None:
    body = target.head("POST /posts", "Content-Type: application/json", "Content-Length: 1000") + b'\r\n{"text": '
    beginnings = [b"", b"\x16\x03\x01\x00", target.head("GET /me"), target.head("GET /me") + b"\r\n", body]

    def come_and_go(number: int) -> None:
        with target.connect() as connection:
            if number % 2:
                # Gone without a word.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(beginnings[number % len(beginnings)])

    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(come_and_go, range(3000)):
            pass


def test_clients_that_stop_reading_hold_little_and_not_for_long(target: Target) -> None:
    with ExitStack() as stack:
        for _ in range(40):
            connection = stack.enter_context(target.connect(receive_buffer=4096))
            connection.sendall(target.head("GET /posts") + b"\r\n")
        time.sleep(0.2)
        assert_answers_quickly(target)
        # While they hold what such lists are read with, others wait for it; and then no longer.
        time.sleep(PATIENCE_SECONDS + 1)
        assert len(list_of(target)) > 20_000_000


def test_a_client_that_reads_slowly_but_steadily_gets_all_of_a_large_answer(target: Target) -> None:
    # So many characters are held and sent as a whole, and they are more bytes than the system takes at once.
    reader = target._replace(person=Client.sign_up(target.server.url, "slow@example.com"))
    for _ in range(10):
        reader.person.add("🐘" * 250_000)
    with reader.connect(receive_buffer=65_536) as connection:
        connection.sendall(reader.head("GET /posts", "Connection: close") + b"\r\n")
        taken = 0
        while part := connection.recv(131_072):
            taken += len(part)
            time.sleep(0.04)
    assert taken > 10_000_000


def list_of(target: Target) -> bytes:
    response = target.person.request("GET", "/posts")
    assert response.status_code == 200
    return response.content


def assert_answers_quickly(target: Target) -> None:
    began = time.monotonic()
    assert target.person.request("GET", "/posts?limit=1").status_code == 200
    assert time.monotonic() - began < 2


def is_closed(connection: socket.socket, more: bytes) -> bool:
    """Send something, and return whether the other side has hung up."""
    try:
        if more:
            connection.sendall(more)
        connection.settimeout(0.001)
        return connection.recv(4096) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True
