"""Receivers of webhooks: an HTTP server whose answers a test chooses, and one that breaks the protocol."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import msgspec


class Received(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def version(self) -> int:
        version: int = msgspec.json.decode(self.body)["data"]["version"]
        return version


class Receiver:
    """`status`, `body`, `headers` and `delay` are what the next requests are answered with.

    `may_answer` ends all delays.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/hook"
        self.received: list[Received] = []
        self.status = 200
        self.body = b"ok"
        self.headers: dict[str, str] = {}
        self.delay = 0.0
        self.may_answer = threading.Event()

    @property
    def versions(self) -> list[int]:
        return [request.version for request in list(self.received)]

    def wait_for(self, count: int, *, seconds: float = 20) -> list[Received]:
        deadline = time.monotonic() + seconds
        while len(self.received) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(self.received) >= count, f"{len(self.received)} of {count} came"
        return list(self.received)

    def wait_for_version(self, version: int, *, seconds: float = 20) -> None:
        """Wait for one change: counting is not enough where others may come twice."""
        deadline = time.monotonic() + seconds
        while version not in self.versions and time.monotonic() < deadline:
            time.sleep(0.05)
        assert version in self.versions, f"{version} did not come"


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Otherwise the body of an answer waits 40 ms for the sender to acknowledge its head.
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            body = self.rfile.read(length)
            if len(body) < length:
                # The sender was killed while it sent.
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.received.append(Received(self.path, headers, body))
            receiver.may_answer.wait(receiver.delay)
            self.send_response(receiver.status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(receiver.body)))
            self.end_headers()
            self.wfile.write(receiver.body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Bear with senders that leave early, or are killed."""

    server = Server(("127.0.0.1", 0), Handler)
    receiver = Receiver(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Misbehaviour:
    """One connection of a receiver that misbehaves, after it has read the request.

    `send` counts what was handed to the network, and raises `OSError` when the sender has closed the connection.
    """

    def __init__(self, connection: socket.socket, receiver: "MisbehavingReceiver") -> None:
        self._connection = connection
        self._receiver = receiver

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)
        self._receiver.sent += len(data)

    def wait(self, seconds: float | None = None) -> None:
        """Wait, at most until the receiver ends."""
        self._receiver.is_over.wait(seconds)

    def wait_for_end(self) -> None:
        """Wait until the sender closes the connection, which is its right."""
        self._connection.settimeout(60)
        with suppress(ConnectionError):
            while self._connection.recv(4096):
                pass

    def repeat(self, data: bytes, *, pause: float = 0) -> None:
        """Send the same again and again, until the sender closes the connection or the receiver ends."""
        while not self._receiver.is_over.is_set():
            self.send(data)
            if pause:
                self.wait(pause)


Behaviour = Callable[[Misbehaviour], None]


def hang_before_the_head(connection: Misbehaviour) -> None:
    connection.wait()


def hang_after_the_head(connection: Misbehaviour) -> None:
    connection.send(HEAD)
    connection.wait()


def hang_within_the_head(connection: Misbehaviour) -> None:
    connection.send(HEAD[:20])
    connection.wait()


def drip(connection: Misbehaviour) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    connection.repeat(b"1\r\nx\r\n", pause=0.02)


def send_interim_responses_for_ever(connection: Misbehaviour) -> None:
    connection.repeat(b"HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n" * 1000)


def send_short_interim_responses_for_ever(connection: Misbehaviour) -> None:
    connection.repeat(b"HTTP/1.1 100 \r\n\r\n" * 1000)


def send_a_head_without_end(connection: Misbehaviour) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\n")
    connection.repeat(b"x-header: " + b"x" * 1000 + b"\r\n")


def send_a_status_line_without_end(connection: Misbehaviour) -> None:
    connection.send(b"HTTP/1.1 200 ")
    connection.repeat(b"O" * 10_000)


def send_a_body_without_end(connection: Misbehaviour) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    connection.repeat(b"400\r\n" + b"x" * 0x400 + b"\r\n")


def send_chunk_extensions_without_end(connection: Misbehaviour) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;")
    connection.repeat(b"x" * 10_000)


def send_trailers_without_end(connection: Misbehaviour) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
    connection.repeat(b"x-trailer: " + b"x" * 1000 + b"\r\n")


def close_without_an_answer(_: Misbehaviour) -> None:
    pass


def close_within_the_head(connection: Misbehaviour) -> None:
    connection.send(HEAD[:20])


def close_within_the_body(connection: Misbehaviour) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")


def send_garbage(connection: Misbehaviour) -> None:
    connection.send(bytes(range(256)) * 4)


def switch_protocols(connection: Misbehaviour) -> None:
    connection.send(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")
    connection.repeat(b"x" * 10_000)


class MisbehavingReceiver:
    """`behave` is what the next connections do, once per connection. `sent` counts the bytes they sent."""

    def __init__(self, port: int, scheme: str, behave: Behaviour) -> None:
        self.url = f"{scheme}://127.0.0.1:{port}/hook"
        self.behave = behave
        self.connections = 0
        self.sent = 0
        self.is_over = threading.Event()


@contextmanager
def misbehaving(behave: Behaviour, *, tls: ssl.SSLContext | None = None) -> Iterator[MisbehavingReceiver]:
    """Run a receiver that misbehaves on a free port of this machine."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    receiver = MisbehavingReceiver(listener.getsockname()[1], "https" if tls else "http", behave)

    def serve(connection: socket.socket) -> None:
        with suppress(OSError):
            if tls is not None:
                connection = tls.wrap_socket(connection, server_side=True)
            connection.settimeout(60)
            _read_request(connection)
            receiver.behave(Misbehaviour(connection, receiver))
        connection.close()

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                # So that what the sender did not read stays out of the count as far as possible.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
                receiver.connections += 1
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.is_over.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def _read_request(connection: socket.socket) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += (more := connection.recv(4096))
        if not more:
            raise ConnectionError
    head, _, body = received.partition(b"\r\n\r\n")
    (length,) = [int(line.split(b":")[1]) for line in head.lower().splitlines() if line.startswith(b"content-length:")]
    while len(body) < length:
        body += (more := connection.recv(4096))
        if not more:
            raise ConnectionError
