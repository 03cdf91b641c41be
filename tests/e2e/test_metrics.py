"""Metrics of several workers: whichever is asked, it answers for all."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
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


@contextmanager
def served_with_metrics_in(folder: Path, tmp_path: Path) -> Iterator[Server]:
    with fresh_mariadb_database() as url:
        settings = {"DATABASE_URL": url.render_as_string(hide_password=False), "ENVIRONMENT": "development"}
        migrate(tmp_path, **settings)
        shared = {"WEB_CONCURRENCY": "2", "PROMETHEUS_MULTIPROC_DIR": str(folder)}
        with serving(tmp_path, settings=settings | shared) as started:
            yield started
            assert "died" not in started.output()


def assert_serves_without_metrics(server: Server, name: str) -> None:
    """Use the service with labels that no request had before, and look at what it says of its metrics."""
    person = Client.sign_up(server.url, f"{name}@example.com")
    person.add("hello")
    for method, path in (("GET", "/posts"), ("GET", "/me"), ("DELETE", "/posts"), ("GET", "/nope"), ("PUT", "/nope")):
        for _ in range(10):
            assert person.request(method, path).status_code < 500
    assert httpx.get(f"{server.url}/health/ready").status_code == 200


@pytest.mark.parametrize("kind", ["a file", "under a file", "full"])
def test_with_a_folder_that_can_not_be_used_the_service_serves_without_metrics(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "file"
    file.touch()
    folder = {"a file": file, "under a file": file / "folder", "full": tmp_path / "folder"}[kind]
    with small_file_system(folder) if kind == "full" else nullcontext():
        if kind == "full":
            fill(folder)
        with served_with_metrics_in(folder, tmp_path) as server:
            assert_serves_without_metrics(server, "ada")

            answer = httpx.get(f"{server.url}/metrics")
            assert answer.status_code == 503
            assert answer.json()["detail"] == "The folder in which the workers share their metrics can't be used."
            # Once for each worker, and for the process that starts them.
            assert len(server.wait_for_lines("metrics folder can't be used")) <= 3


def test_a_folder_that_fills_up_costs_metrics_and_no_worker(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with small_file_system(folder, "512k"), served_with_metrics_in(folder, tmp_path) as server:
        assert httpx.get(f"{server.url}/metrics").status_code == 200
        fill(folder)
        assert_serves_without_metrics(server, "ada")


def test_a_folder_that_is_removed_while_the_service_runs_costs_metrics_only(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with served_with_metrics_in(folder, tmp_path) as server:
        assert httpx.get(f"{server.url}/metrics").status_code == 200
        shutil.rmtree(folder)

        assert_serves_without_metrics(server, "ada")
        assert httpx.get(f"{server.url}/metrics").status_code == 503


@contextmanager
def small_file_system(folder: Path, size: str = "64k") -> Iterator[None]:
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("only root may mount a small file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    with suppress(OSError), (folder / "filling").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
