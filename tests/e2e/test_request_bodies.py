"""Bodies that mean harm: they take neither all memory nor all time from others."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median
from threading import Event

import httpx
import pytest

from tests import bombs
from tests.e2e.server import Client, Server, serving
from tests.scraping import samples
from tests.unfinished import UnfinishedRequest

MEBIBYTE = 1_048_576
SHARE = 16 * MEBIBYTE
REQUESTS, ROUNDS = 20, 3
# Bombs cost the requests of others a few times what harmless bodies do. They once cost a hundred times as much.
SLOWER = 25

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs Linux to look at a process's memory"
)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("bodies")) as server:
        yield server


def bearer(person: Client) -> str:
    return f"Authorization: Bearer {person.tokens['access_token']}"


def share_of_bodies(server: Server) -> tuple[int, int]:
    """Return how many bytes of bodies the service holds, and how many requests it has refused."""
    found = samples(httpx.get(f"{server.url}/metrics").text)
    names = (f'{name}{{share="request bodies"}}' for name in ("postline_share_used", "postline_share_refused_total"))
    used, refused = (int(found[name]) for name in names)
    return used, refused


def until(server: Server, is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline, (share_of_bodies(server), server.output())
        time.sleep(0.05)


def test_unfinished_bodies_of_one_account_hold_little_and_others_post(started: Server) -> None:
    attacker, other = (Client.sign_up(started.url, f"{name}@example.com") for name in ("attacker", "other"))
    part = b'{"text":"'.ljust(1_000_000, b"x")
    before = started.reset_peak_memory()
    with ExitStack() as stack:
        for _ in range(300):
            request = stack.enter_context(UnfinishedRequest(started.url, "/posts", bearer(attacker)))
            with suppress(ConnectionError):
                request.send(part)
        until(started, lambda: share_of_bodies(started)[1] >= 300 - SHARE // len(part))

        assert SHARE - len(part) <= share_of_bodies(started)[0] <= SHARE
        other.add("y" * (MEBIBYTE - 20))
        with UnfinishedRequest(started.url, "/posts", bearer(attacker)) as refused:
            refused.send(part)
            head, _, body = refused.answer().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 429 ")
        assert b"\r\nretry-after: 1\r\n" in head.lower() + b"\r\n"
        assert b"\r\nconnection: close\r\n" in head.lower() + b"\r\n"
        assert body.startswith(b"{")
        assert body.endswith(b"}")

    until(started, lambda: share_of_bodies(started)[0] == 0)
    growth = started.peak_memory() - before
    assert growth < 4 * SHARE, f"{growth / MEBIBYTE:.0f} MiB"
    attacker.add("z" * (MEBIBYTE - 20))
    assert len(other.list()) == 1


def test_connections_that_stay_open_hold_no_body_that_was_answered(started: Server) -> None:
    ada = Client.sign_up(started.url, "stays-open@example.com")
    headers = {"Authorization": f"Bearer {ada.tokens['access_token']}"}
    connections = 48
    body = {"text": "x" * 1_000_000}
    httpx.post(f"{started.url}/posts", headers=headers, json=body).raise_for_status()
    before = started.reset_peak_memory()

    with ExitStack() as stack:
        for _ in range(connections):
            client = stack.enter_context(httpx.Client(headers=headers, timeout=30))
            client.post(f"{started.url}/posts", json=body).raise_for_status()
        grown = started.peak_memory() - before

    assert grown < connections * MEBIBYTE // 2


def test_before_log_in_unfinished_bodies_of_one_address_hold_little_too(started: Server) -> None:
    with ExitStack() as stack:
        for _ in range(200):
            request = stack.enter_context(UnfinishedRequest(started.url, "/auth/login", length=4096))
            request.send(b'{"email": "'.ljust(4000, b"x"))
        until(started, lambda: share_of_bodies(started)[0] >= 200 * 4000)

        Client.sign_up(started.url, "meanwhile@example.com")
    until(started, lambda: share_of_bodies(started)[0] == 0)


@contextmanager
def attacking(person: Client, body: bytes) -> Iterator[None]:
    """Send the body again and again to several routes at once; it must be refused each time."""
    is_over = Event()

    def attack(path: str) -> int:
        sent = 0
        while not is_over.is_set():
            assert person.request("POST", path, content=body).status_code in {400, 413}
            sent += 1
        return sent

    with ThreadPoolExecutor() as pool:
        attacks = [pool.submit(attack, path) for path in ("/posts", "/webhooks", "/auth/login")]
        try:
            yield
        finally:
            is_over.set()
    assert all(one.result() > 0 for one in attacks)


@pytest.mark.parametrize("kind", ["unknown fields", "towers of arrays", "events"])
def test_others_are_served_while_bombs_come(started: Server, kind: str) -> None:
    name = kind.replace(" ", "-")
    attacker, other = (Client.sign_up(started.url, f"{who}-{name}@example.com") for who in ("attacker", "other"))
    bodies = bombs.bodies()

    def seconds() -> float:
        began = time.perf_counter()
        assert other.request("GET", "/posts?limit=1").status_code == 200
        return time.perf_counter() - began

    def seconds_under_attack(body: bytes) -> float:
        with attacking(attacker, body):
            return median(seconds() for _ in range(REQUESTS))

    # As many bytes, refused at the first one: sending them takes the machine as much time.
    slower = [seconds_under_attack(bodies[kind]) / seconds_under_attack(bodies["no JSON"]) for _ in range(ROUNDS)]

    assert median(slower) < SLOWER, slower
