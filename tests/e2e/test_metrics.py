"""Metrics of several workers: whichever is asked, it answers for all."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import Client, Server, migrate, serving
from tests.scraping import Samples, requests, samples
from tests.services import fresh_mariadb_database


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with fresh_mariadb_database() as url:
        settings = {"DATABASE_URL": url.render_as_string(hide_password=False), "ENVIRONMENT": "development"}
        migrate(tmp_path, **settings)
        with serving(tmp_path, settings=settings | {"WEB_CONCURRENCY": "2"}) as started:
            yield started


def scrape(server: Server) -> Samples:
    return samples(httpx.get(f"{server.url}/metrics").text)


def workers(server: Server) -> set[int]:
    return {int(name.split('"')[1]) for name in scrape(server) if name.startswith("process_start_time_seconds")}


def until(server: Server, is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline, server.output()
        time.sleep(0.1)


def test_every_worker_answers_for_all_also_for_one_that_died(server: Server) -> None:
    person = Client.sign_up(server.url, "ada@example.com")
    person.add("hello")
    for _ in range(20):
        person.list()
        person.request("POST", "/auth/login", json={"email": person.email, "password": "not the password"})

    def has_counted_all() -> bool:
        found = scrape(server)
        counted = requests(found)
        looked_up = found["postline_cache_hits_total"] + found["postline_cache_misses_total"]
        # A limit refuses some before their password is looked at.
        failed, refused = counted["POST", "/auth/login", 401], counted["POST", "/auth/login", 429]
        return (
            counted["GET", "/posts", 200] == looked_up == failed + refused == 20
            and found["postline_login_failures_total"] == failed
        )

    until(server, lambda: len(workers(server)) == 2)
    until(server, has_counted_all)
    before = workers(server)

    os.kill(min(before), signal.SIGKILL)

    until(server, lambda: len(workers(server) - before) == 1 and len(workers(server)) == 2)
    assert min(before) not in workers(server)
    until(server, has_counted_all)
