"""A Redis server of the tests' own, that can be paused, killed and brought back."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.server import free_port
from tests.own_server import OwnServer
from tests.services import program


class RedisServer(OwnServer):
    """Keeps what it is told to save in a folder, and begins with it when it is started again."""

    def __init__(self, command: str, folder: Path, port: int) -> None:
        self.url = f"redis://127.0.0.1:{port}/0"
        self._port = port
        self._command = [command, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while self.ask("PING") != b"+PONG":
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def ask(self, command: str) -> bytes:
        """Send an inline command, and return the first line of the answer; nothing where there is none."""
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=5) as connection:
                connection.sendall(f"{command}\r\n".encode())
                return connection.recv(4096).partition(b"\r\n")[0]
        except OSError:
            return b""


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    server = RedisServer(program("redis-server"), folder, free_port())
    server.start()
    try:
        yield server
    finally:
        server.kill()
