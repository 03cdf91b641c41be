"""Hashing passwords takes long, and nobody may take all of it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from uuid import uuid4

import httpx

from tests.e2e.server import serving

SETTINGS = {
    "AUTH_RATE_LIMIT": "1000000/minute",
    "TRUSTED_PROXIES": "127.0.0.1",
    "PASSWORD_THREADS": "1",
    "PASSWORD_QUEUE_LIMIT": "7",
    "ARGON2_ITERATIONS": "10",
    "ARGON2_MEMORY_KIB": "19456",
}
PASSWORD = "correct horse battery"


def test_one_client_can_not_take_the_whole_queue_of_hashes(tmp_path: Path) -> None:
    is_full, is_over = Event(), Event()
    with serving(tmp_path, settings=SETTINGS) as server, httpx.Client(base_url=server.url, timeout=120) as client:

        def ask(path: str, email: str, client_address: str) -> httpx.Response:
            return client.post(
                path, json={"email": email, "password": PASSWORD}, headers={"x-forwarded-for": client_address}
            )

        def log_in_without_pause(_: int) -> set[int]:
            statuses = set()
            while not is_over.is_set():
                answer = ask("/auth/login", f"{uuid4().hex}@example.com", "192.0.2.66")
                statuses.add(answer.status_code)
                if answer.status_code == 429:
                    assert int(answer.headers["retry-after"]) > 0
                    is_full.set()
            return statuses

        assert ask("/auth/signup", "ada@example.com", "192.0.2.1").status_code == 201
        with ThreadPoolExecutor(12) as threads:
            greedy = threads.map(log_in_without_pause, range(12))
            assert is_full.wait(60)

            answers = [ask("/auth/login", "ada@example.com", "192.0.2.1").status_code for _ in range(3)]
            is_over.set()

    assert answers == [200] * 3
    assert set().union(*greedy) == {401, 429}
