"""A thousand people who follow their timelines through one process."""

import json
import resource
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from tests.e2e.server import Client, Server, serving

STREAMS = 1000
MEBIBYTE = 1_048_576


@contextmanager
def streams(server: Server, person: Client, count: int) -> Iterator[list[socket.socket]]:
    """Open so many feeds, and read the beginning of each."""
    request = (
        "GET /posts/events HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {person.tokens['access_token']}\r\nLast-Event-ID: 0\r\n\r\n"
    ).encode()
    opened: list[socket.socket] = []
    try:
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=30)
            opened.append(connection)
            connection.sendall(request)
        for connection in opened:
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        yield opened
    finally:
        for connection in opened:
            connection.close()


def read_until(connections: list[socket.socket], wanted: bytes, *, seconds: float) -> int:
    """Return how many of the connections brought the wanted bytes in time."""
    deadline, waiting = time.monotonic() + seconds, selectors.DefaultSelector()
    buffers = dict.fromkeys(connections, b"")
    for connection in connections:
        waiting.register(connection, selectors.EVENT_READ)
    while waiting.get_map() and time.monotonic() < deadline:
        for key, _ in waiting.select(timeout=0.5):
            connection = cast("socket.socket", key.fileobj)
            buffers[connection] += connection.recv(65_536)
            if wanted in buffers[connection]:
                waiting.unregister(connection)
    return len(connections) - len(waiting.get_map())


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux to measure a process's memory")
def test_a_thousand_streams_cost_less_than_a_hundred_mebibytes(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * STREAMS:
        pytest.skip(f"needs {2 * STREAMS} open files, and the limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * STREAMS), hard))
    with serving(tmp_path, settings={"FEEDS_PER_USER": str(STREAMS)}) as server:
        person = Client.sign_up(server.url, "followed@example.com")
        person.add("first")
        person.list()
        before = server.reset_peak_memory()

        with streams(server, person, STREAMS) as opened:
            post_id = person.add("second")
            told = json.dumps({"postID": post_id, "version": 2}, separators=(",", ":"))[1:-1].encode()
            assert read_until(opened, told, seconds=30) == STREAMS
            growth = server.peak_memory() - before

        assert growth < 100 * MEBIBYTE, f"{growth / MEBIBYTE:.0f} MiB"
        assert len(person.list()) == 2
