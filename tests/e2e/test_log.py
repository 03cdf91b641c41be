"""The log of a process: it never keeps the service waiting, and in production each of its lines is JSON."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import ROOT, STOP_SECONDS, environment, free_port, migrate, run, running, wait_until_served
from tests.scraping import samples
from tests.services import fresh_mariadb_database

PRODUCTION = {"ENVIRONMENT": "production", "JWT_SECRET": "0123456789abcdefghijklmnopqrstuvwxyz"}


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def client(port: int) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        yield client


def test_a_standard_error_that_nobody_reads_does_not_stop_the_service(
    tmp_path: Path, port: int, client: httpx.Client
) -> None:
    settings = {"ACCESS_LOG_LINES_PER_MINUTE": "0"}
    with running(tmp_path, "--port", str(port), settings=settings, stderr=subprocess.PIPE) as process:
        wait_until_served(client, process)

        answers = {client.post("/nope").status_code for _ in range(2000)}

        assert answers == {404}
        process.terminate()
        assert process.wait(STOP_SECONDS) == 0


@pytest.mark.parametrize("kind", ["closed", "full", "without a reader"])
def test_a_standard_error_that_takes_nothing_does_not_stop_the_service(
    tmp_path: Path, port: int, client: httpx.Client, kind: str
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    file = os.open("/dev/full", os.O_WRONLY) if kind == "full" else writing
    close = (lambda: os.close(2)) if kind == "closed" else None
    with running(tmp_path, "--port", str(port), stderr=file, preexec_fn=close) as process:
        wait_until_served(client, process)

        assert {client.post("/nope").status_code for _ in range(100)} == {404}

        dropped = samples(client.get("/metrics").text)["postline_log_lines_dropped_total"]
        assert dropped == 0 if kind == "closed" else dropped > 0
        process.terminate()
        assert process.wait(STOP_SECONDS) == 0
    os.close(writing)


def test_one_client_can_not_fill_the_log(tmp_path: Path, port: int, client: httpx.Client) -> None:
    log = tmp_path / "log"
    settings = PRODUCTION | {"ACCESS_LOG_LINES_PER_MINUTE": "10"}
    with log.open("w") as file, running(tmp_path, "--port", str(port), settings=settings, stderr=file) as process:
        wait_until_served(client, process)

        for _ in range(50):
            client.post("/nope")

        # A minute may end meanwhile.
        assert samples(client.get("/metrics").text)["postline_log_lines_suppressed_total"] >= 30
        process.terminate()
        assert process.wait(STOP_SECONDS) == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len([line for line in lines if line["event"] == "request"]) <= 20
    assert any("lines of clients with more than ACCESS_LOG_LINES_PER_MINUTE=10" in line["event"] for line in lines)


@pytest.mark.parametrize("workers", [1, 2])
def test_all_that_a_production_process_says_is_json(
    tmp_path: Path, port: int, client: httpx.Client, workers: int
) -> None:
    with fresh_mariadb_database() as url:
        settings = PRODUCTION | {"DATABASE_URL": url.render_as_string(hide_password=False)}
        migrate(tmp_path, **settings)
        log = tmp_path / "log"
        options = ("--port", str(port), "--web-concurrency", str(workers))
        with (
            log.open("w") as file,
            running(tmp_path, *options, settings=settings, stdout=file, stderr=file) as process,
        ):
            wait_until_served(client, process)
            client.post("/nope")
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOP_SECONDS) == 0

    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert f"Postline: http://127.0.0.1:{port}/ (the API: http://127.0.0.1:{port}/docs)" in events
    assert "request" in events
    finished = [event for event in events if event.startswith("Finished server process")]
    assert len(finished) == workers


def test_migrations_in_production_are_logged_as_json(tmp_path: Path) -> None:
    ended = run("alembic", "-c", str(ROOT / "alembic.ini"), "upgrade", "head", cwd=tmp_path, **PRODUCTION)

    assert ended.returncode == 0, ended.stderr
    events = [json.loads(line)["event"] for line in (ended.stdout + ended.stderr).splitlines()]
    assert any(event.startswith("Running upgrade") for event in events)


@pytest.mark.parametrize(
    ("code", "logged"),
    [
        ("raise RuntimeError('at the start')", "RuntimeError: at the start"),
        ("warnings.warn('be careful')", "UserWarning: be careful"),
        ("threading.Thread(target=lambda: 1 / 0).start()", "ZeroDivisionError"),
        ("type('Broken', (), {'__del__': lambda self: 1 / 0})()", "ZeroDivisionError"),
    ],
)
def test_what_nothing_handles_is_json_in_production(tmp_path: Path, code: str, logged: str) -> None:
    program = f"import threading, warnings; from app.application import create_app; create_app()\n{code}"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(**PRODUCTION),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    lines = [json.loads(line) for line in (ended.stdout + ended.stderr).splitlines()]
    assert any(logged in line.get("exception", "") + line["event"] for line in lines), lines
