"""Webhooks of started servers, some of them killed, told to a receiver that runs here."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook as Verifier

from app.delivery.webhook_sender import SenderPolicy
from tests.e2e.server import ROOT, Client, free_port, run, serving
from tests.receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


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
        receiver.wait_for_version(newest, seconds=300)
        told = person.request("GET", f"/webhooks/{webhook['id']}/deliveries").json()

    assert newest - acknowledged in {0, 1}
    firsts = list(dict.fromkeys(receiver.versions))
    assert firsts == list(range(1, newest + 1))
    assert len(receiver.received) <= newest + SenderPolicy().max_unstored
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


def test_a_receiver_that_was_away_is_mended_and_misses_nothing_although_the_service_is_killed(
    tmp_path: Path, settings: dict[str, str], receiver: Receiver
) -> None:
    port = free_port()
    with serving(tmp_path, port=port, settings=settings) as server:
        person = Client.sign_up(server.url, "mended@example.com")
        webhook = person.request("POST", "/webhooks", json={"url": receiver.url}).json()
        path = f"/webhooks/{webhook['id']}"
        receiver.status = 410
        person.add("post 1")
        receiver.wait_for(1)
        while person.request("GET", path).json()["disabled_at"] is None:
            time.sleep(0.05)
        for number in range(2, 61):
            person.add(f"post {number}")
        receiver.status = 200

        def kill_amid() -> None:
            receiver.wait_for(10)
            server.kill()

        killer = threading.Thread(target=kill_amid)
        killer.start()
        enabled = person.request("PATCH", path, json={"enabled": True})
        killer.join()
    assert enabled.status_code == 200

    with serving(tmp_path, port=port, settings=settings):
        # What was on its way when the process died is taken up when its lease has run out.
        while person.request("GET", f"{path}/deliveries").json()[0]["status"] != "delivered":
            time.sleep(0.05)
        secret = person.request("POST", f"{path}/secret").json()["secret"]
        received = len(receiver.received)
        again = person.request("POST", f"{path}/redeliver", json={"after": 50})
        receiver.wait_for(received + 10)

    firsts = list(dict.fromkeys(receiver.versions[1:]))
    assert firsts == list(range(1, 61))
    assert again.status_code == 202
    assert receiver.versions[received:] == list(range(51, 61))
    for request in receiver.received[received:]:
        Verifier(secret).verify(request.body, request.headers)
        Verifier(webhook["secret"]).verify(request.body, request.headers)


def test_the_operators_webhook_gets_everybodys_changes(
    tmp_path: Path, settings: dict[str, str], receiver: Receiver
) -> None:
    def webhooks(*command: str) -> list[dict[str, str]]:
        ended = run("litestar", "--app-dir", str(ROOT), "webhooks", *command, "--json", cwd=tmp_path, **settings)
        assert ended.returncode == 0, ended.stderr
        found: list[dict[str, str]] = json.loads(ended.stdout)
        return found

    with serving(tmp_path, settings=settings) as server:
        (added,) = webhooks("add", receiver.url)
        for name in ("ada", "bob"):
            Client.sign_up(server.url, f"{name}@example.com").add("hello")
        received = receiver.wait_for(2)
        (listed,) = webhooks("list")
        assert webhooks("remove", added["id"]) == [{"id": added["id"]}]
        assert webhooks("list") == []

    assert listed["url"] == receiver.url
    assert "secret" not in listed
    bodies = [Verifier(added["secret"]).verify(request.body, request.headers) for request in received]
    assert len({body["data"]["user_id"] for body in bodies}) == 2
    assert [body["data"]["version"] for body in bodies] == [1, 1]
    refused = run("litestar", "--app-dir", str(ROOT), "webhooks", "add", "http://10.0.0.1/", cwd=tmp_path, **settings)
    assert refused.returncode == 1
    assert refused.stderr.startswith("postline: url:")
