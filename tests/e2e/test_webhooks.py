"""Webhooks of started servers, some of them killed, told to a receiver that runs here."""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook as Verifier

from tests.e2e.server import ROOT, Client, free_port, migrate, run, serving
from tests.receiver import Receiver, receiving
from tests.services import fresh_mariadb_database

ALLOWED = {"WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(params=["SQLite", "MariaDB"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    if request.param == "SQLite":
        yield ALLOWED
        return
    with fresh_mariadb_database() as url:
        settings = ALLOWED | {"DATABASE_URL": url.render_as_string(hide_password=False)}
        migrate(tmp_path, **settings)
        yield settings


def test_a_receiver_ends_up_with_every_change_although_the_service_is_killed(
    tmp_path: Path, settings: dict[str, str], receiver: Receiver
) -> None:
    port, workers = free_port(), 4 if "DATABASE_URL" in settings else 1
    with serving(tmp_path, port=port, workers=workers, settings=settings) as server:
        person = Client.sign_up(server.url, "hooked@example.com")
        webhook = person.request("POST", "/webhooks", json={"url": receiver.url}).json()
        killer = threading.Timer(1.5, server.kill)
        killer.start()
        acknowledged = 0
        try:
            while True:
                person.add(f"post {acknowledged}")
                acknowledged += 1
        except httpx.TransportError:
            killer.join()
    assert acknowledged

    with serving(tmp_path, port=port, workers=workers, settings=settings):
        newest = int(person.request("GET", "/posts").headers["etag"].strip('"'))
        # What was on its way when the process died is taken up when its lease has run out.
        receiver.wait_for(newest, seconds=90)
        told = person.request("GET", f"/webhooks/{webhook['id']}/deliveries").json()

    assert newest - acknowledged in {0, 1}
    firsts = list(dict.fromkeys(receiver.versions))
    assert firsts == list(range(1, newest + 1))
    assert len(receiver.received) <= newest + 1
    assert told[0]["version"] == newest
    for request in receiver.received:
        Verifier(webhook["secret"]).verify(request.body, request.headers)


def test_an_operator_sees_what_is_behind_and_has_it_delivered_again(
    tmp_path: Path, settings: dict[str, str], receiver: Receiver
) -> None:
    def events(*command: str) -> str:
        ended = run("litestar", "--app-dir", str(ROOT), "events", *command, cwd=tmp_path, **settings)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    with serving(tmp_path, settings=settings) as server:
        person = Client.sign_up(server.url, "operated@example.com")
        person.request("POST", "/webhooks", json={"url": receiver.url})
        for number in range(3):
            person.add(f"post {number}")
        receiver.wait_for(3)

        assert "webhooks" in events("status")
        assert events("dead").splitlines() == ["LISTENER  USER  VERSION  EVENT  ERROR  GIVEN UP"]
        assert events("replay", "webhooks").strip() == "0 users' events will be delivered to webhooks again"
        assert events("replay", "webhooks", "--all").strip() == "1 users' events will be delivered to webhooks again"
        person.add("after the replay")
        receiver.wait_for(4)

    # The queue of webhooks knows what it was given, so nothing is told twice.
    assert receiver.versions == [1, 2, 3, 4]
