"""What the receivers of one account do to the webhooks of another, in a started server: nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.delivery.webhook_sender import MAX_CONCURRENT_PER_USER
from tests.e2e.server import Client, Server, migrate, serving
from tests.name_server import NameServer, name_server
from tests.receiver import misbehaving, receiving, send_interim_responses_for_ever
from tests.services import fresh_mariadb_database


@pytest.fixture
def names() -> Iterator[NameServer]:
    with name_server() as server:
        yield server


@pytest.fixture(params=["SQLite", "MariaDB"])
def server(request: pytest.FixtureRequest, tmp_path: Path, names: NameServer) -> Iterator[Server]:
    settings = {
        "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "WEBHOOK_NAME_SERVERS": f"127.0.0.1:{names.port}",
        "AUTH_RATE_LIMIT": "10000/minute",
    }
    if request.param == "SQLite":
        with serving(tmp_path, settings=settings) as started:
            yield started
        return
    with fresh_mariadb_database() as url:
        settings["DATABASE_URL"] = url.render_as_string(hide_password=False)
        migrate(tmp_path, **settings)
        with serving(tmp_path, settings=settings) as started:
            yield started


def deliveries(person: Client, webhook_id: str) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = person.request("GET", f"/webhooks/{webhook_id}/deliveries").json()
    return told


def test_names_that_no_server_answers_for_delay_their_own_account_only(server: Server, names: NameServer) -> None:
    names.knows("*.attacker.example", "127.0.0.1", ttl=0)
    names.knows("hooks.example", "127.0.0.1", ttl=0)
    attacker = Client.sign_up(server.url, "attacker@example.com")
    other = Client.sign_up(server.url, "other@example.com")
    with receiving() as receiver:
        port = receiver.url.split(":")[2]
        for number in range(10):
            url = f"http://{number}.attacker.example:{port}"
            assert attacker.request("POST", "/webhooks", json={"url": url}).status_code == 201
        webhook = other.request("POST", "/webhooks", json={"url": f"http://hooks.example:{port}"}).json()
        names.is_silent_about("*.attacker.example")
        names.asked.clear()
        attacker.add("starts the look-ups")
        while len({question.host for question in list(names.asked)}) < MAX_CONCURRENT_PER_USER:
            names.is_over.wait(0.02)

        for number in range(5):
            other.add(f"post {number}")
        received = receiver.wait_for(5)

    assert [request.version for request in received] == [1, 2, 3, 4, 5]
    while not deliveries(other, webhook["id"])[0]["attempts"]:
        names.is_over.wait(0.02)
    assert [told["attempts"] for told in deliveries(other, webhook["id"])] == [1] * 5


def test_registering_names_that_no_server_answers_for_delays_no_other_registration_and_no_delivery(
    server: Server, names: NameServer
) -> None:
    names.is_silent_about("*.attacker.example")
    names.knows("hooks.example", "127.0.0.1", ttl=0)
    attacker = Client.sign_up(server.url, "attacker@example.com")
    other = Client.sign_up(server.url, "other@example.com")

    def register(number: int) -> int:
        url = f"http://{number}.attacker.example/"
        return attacker.request("POST", "/webhooks", json={"url": url}).status_code

    with receiving() as receiver, ThreadPoolExecutor(12) as threads:
        port = receiver.url.split(":")[2]
        attempts = [threads.submit(register, number) for number in range(12)]
        names.wait_for(".attacker.example")
        registered = other.request("POST", "/webhooks", json={"url": f"http://hooks.example:{port}"})
        other.add("hello")
        receiver.wait_for(1)
        answers = [attempt.result() for attempt in attempts]

    assert registered.status_code == 201
    assert set(answers) <= {400, 429}
    assert 400 in answers


def test_receivers_that_send_without_end_delay_nobody(server: Server) -> None:
    attacker = Client.sign_up(server.url, "attacker@example.com")
    other = Client.sign_up(server.url, "other@example.com")
    with receiving() as receiver, misbehaving(send_interim_responses_for_ever) as flood:
        webhooks = [attacker.request("POST", "/webhooks", json={"url": flood.url}).json() for _ in range(10)]
        other.request("POST", "/webhooks", json={"url": receiver.url})
        attacker.add("starts the flood")
        for number in range(5):
            other.add(f"post {number}")
        receiver.wait_for(5)
        while not all(deliveries(attacker, webhook["id"])[0]["attempts"] for webhook in webhooks):
            flood.is_over.wait(0.05)
        told = [deliveries(attacker, webhook["id"])[0] for webhook in webhooks]

    assert {one["response_excerpt"] for one in told} == {"the answer is too long: more than 16 KiB before its end"}
    assert {one["status"] for one in told} == {"pending"}
