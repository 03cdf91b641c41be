"""Registering webhooks, and seeing what they were told."""

import asyncio
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from httpx import AsyncClient
from standardwebhooks import Webhook as Verifier

from app.application import create_app
from app.settings import Settings
from tests.api.conftest import Fired, serve
from tests.api.people import PASSWORD, Person, assert_problem
from tests.receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"webhook_allowed_networks": [ip_network("127.0.0.0/8")]})


async def register(person: Person, url: str, **body: Any) -> dict[str, Any]:
    response = await person.request("POST", "/webhooks", json={"url": url, **body})
    assert response.status_code == 201, response.text
    registered: dict[str, Any] = response.json()
    return registered


async def deliveries(person: Person, webhook_id: str) -> list[dict[str, Any]]:
    response = await person.get(f"/webhooks/{webhook_id}/deliveries")
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()
    return found


async def finished(person: Person, webhook_id: str, count: int) -> list[dict[str, Any]]:
    """Wait until that many deliveries were attempted."""
    async with asyncio.timeout(15):
        while True:
            found = await deliveries(person, webhook_id)
            if len([one for one in found if one["attempts"]]) >= count:
                return found
            await asyncio.sleep(0.02)


async def test_each_change_is_told_in_order_and_signed(ada: Person, receiver: Receiver, fired: Fired) -> None:
    webhook = await register(ada, receiver.url)
    post_id = await ada.add("hello")
    await ada.request("PATCH", f"/posts/{post_id}", json={"text": "hello again"})
    await ada.request("DELETE", f"/posts/{post_id}")

    told = await finished(ada, webhook["id"], 3)

    assert receiver.versions == [1, 2, 3]
    for request, type_ in zip(receiver.received, ("post.created", "post.updated", "post.deleted"), strict=True):
        verified = Verifier(webhook["secret"]).verify(request.body, request.headers)
        assert verified["type"] == type_
        assert verified["data"]["postID"] == post_id
        assert verified["timestamp"] == verified["data"]["occurred_at"]
        assert request.headers["content-type"] == "application/json"
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 3
    assert [(one["version"], one["status"], one["attempts"]) for one in told] == [
        (3, "delivered", 1),
        (2, "delivered", 1),
        (1, "delivered", 1),
    ]
    assert told[0]["postID"] == post_id
    assert (told[0]["response_status"], told[0]["response_excerpt"]) == (200, "ok")
    assert fired.take() == [("post.created", 1), ("post.updated", 2), ("post.deleted", 3)]


async def test_a_webhook_is_told_only_of_what_it_asked_for_and_from_then_on(ada: Person, receiver: Receiver) -> None:
    post_id = await ada.add("before")
    webhook = await register(ada, receiver.url, events=["post.deleted"])
    await ada.add("another")
    await ada.request("DELETE", f"/posts/{post_id}")

    await finished(ada, webhook["id"], 1)

    assert receiver.versions == [3]


async def test_webhooks_are_listed_without_their_secret_and_removed(ada: Person, receiver: Receiver) -> None:
    first, second = await register(ada, receiver.url), await register(ada, f"{receiver.url}/2", events=["post.created"])

    listed = (await ada.get("/webhooks")).json()

    assert [one["id"] for one in listed] == [second["id"], first["id"]]
    assert listed == [{key: value for key, value in one.items() if key != "secret"} for one in (second, first)]
    assert first["events"] == ["post.created", "post.deleted", "post.updated"]
    assert (await ada.request("DELETE", f"/webhooks/{first['id']}")).status_code == 204
    assert [one["id"] for one in (await ada.get("/webhooks")).json()] == [second["id"]]
    assert_problem(await ada.request("DELETE", f"/webhooks/{first['id']}"), 404)
    assert_problem(await ada.get(f"/webhooks/{first['id']}/deliveries"), 404)


async def test_someone_elses_webhook_is_as_if_it_did_not_exist(ada: Person, bob: Person, receiver: Receiver) -> None:
    webhook = await register(ada, receiver.url)

    assert (await bob.get("/webhooks")).json() == []
    assert_problem(await bob.get(f"/webhooks/{webhook['id']}/deliveries"), 404)
    assert_problem(await bob.request("DELETE", f"/webhooks/{webhook['id']}"), 404)
    await bob.add("none of Ada's business")
    await ada.add("hers")
    await finished(ada, webhook["id"], 1)
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": "example.com"}, "url"),
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "http://user:password@example.com/"}, "url"),
        ({"url": "https://example.com/#top"}, "url"),
        ({"url": "https://example.com/" + "x" * 2048}, "url"),
        ({"url": "http://[::1]:99999/"}, "url"),
        ({"url": "https://example.com/" + "é" * 2000}, "url"),
        ({"url": "http://example.com:0/"}, "url"),
        ({"url": "https://example.com:0/hook"}, "url"),
        ({"url": "https://[2606:4700::1111]:00000/"}, "url"),
        ({"url": "https://example.com/", "events": []}, "events"),
        ({"url": "https://example.com/", "events": ["post.liked"]}, "events.0"),
        ({"url": "https://example.com/", "secret": "whsec_mine"}, "secret"),
    ],
)
async def test_a_webhook_that_makes_no_sense_is_refused(ada: Person, body: dict[str, Any], field: str) -> None:
    assert_problem(await ada.request("POST", "/webhooks", json=body), 400, field)
    assert (await ada.get("/webhooks")).json() == []


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",  # noqa: S104
        "255.255.255.255", "[::1]", "[fe80::1]", "[fd00::1]", "[::ffff:10.0.0.1]", "[64:ff9b::a00:1]", "[2002:a00:1::]",
        "[ff02::1]", "[::]", "no-such-host.invalid", "2130706433", "0x7f.1", "127.1",
        "192.0.0.192", "168.63.129.16", "[64:ff9b:1:a00:0:100:808:808]", "[fec0::1]", "[::7f00:1]", "[::ffff:0:7f00:1]",
        "[3fff::1]", "[100::1]", "[2001:db8::1]", "[5f00::1]",
    ],
)  # fmt: skip
async def test_an_address_that_is_not_public_is_refused(settings: Settings, host: str) -> None:
    app = create_app(settings.model_copy(update={"webhook_allowed_networks": ()}))
    async with serve(app) as client:
        ada = await Person.sign_up(client, "ada@example.com")
        assert_problem(await ada.request("POST", "/webhooks", json={"url": f"http://{host}/hook"}), 400, "url")


async def test_there_is_a_limit_to_the_webhooks_of_one_person(ada: Person, receiver: Receiver) -> None:
    for _ in range(10):
        await register(ada, receiver.url)

    assert_problem(await ada.request("POST", "/webhooks", json={"url": receiver.url}), 409)
    assert len((await ada.get("/webhooks")).json()) == 10


async def test_a_webhook_is_read_changed_and_goes_on_where_it_stopped(ada: Person, receiver: Receiver) -> None:
    receiver.status = 410
    webhook = await register(ada, receiver.url)
    path = f"/webhooks/{webhook['id']}"
    await ada.add("one")
    await finished(ada, webhook["id"], 1)
    await ada.add("two")
    receiver.status = 200

    changed = await ada.request("PATCH", path, json={"enabled": True, "url": f"{receiver.url}/2", "events": None})

    assert changed.status_code == 200, changed.text
    assert changed.json()["disabled_at"] is None
    assert changed.json()["url"] == f"{receiver.url}/2"
    assert changed.json()["events"] == webhook["events"]
    await asyncio.to_thread(receiver.wait_for, 3)
    assert [(request.path, request.version) for request in receiver.received] == [
        ("/hook", 1),
        ("/hook/2", 1),
        ("/hook/2", 2),
    ]
    disabled = (await ada.request("PATCH", path, json={"enabled": False})).json()
    assert disabled["disabled_reason"] == "It was disabled by its owner."
    assert (await ada.get(path)).json() == disabled
    assert (await ada.request("PATCH", path, json={})).json() == disabled


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"enabled": "yes"}, "enabled"),
        ({"url": "http://10.0.0.1/hook"}, "url"),
        ({"url": "ftp://example.com/"}, "url"),
        ({"events": []}, "events"),
        ({"events": ["webhook.test"]}, "events.0"),
        ({"secret": "whsec_mine"}, "secret"),
    ],
)
async def test_a_change_that_makes_no_sense_is_refused(
    ada: Person, receiver: Receiver, body: dict[str, Any], field: str
) -> None:
    webhook = await register(ada, receiver.url)

    assert_problem(await ada.request("PATCH", f"/webhooks/{webhook['id']}", json=body), 400, field)
    assert (await ada.get("/webhooks")).json()[0]["url"] == receiver.url


async def test_a_new_secret_is_shown_once_and_the_old_one_signs_too(ada: Person, receiver: Receiver) -> None:
    webhook = await register(ada, receiver.url)

    rotated = await ada.request("POST", f"/webhooks/{webhook['id']}/secret")
    await ada.add("hello")
    (request,) = await asyncio.to_thread(receiver.wait_for, 1)

    assert rotated.status_code == 200, rotated.text
    secret = rotated.json()["secret"]
    assert secret != webhook["secret"]
    for each in (secret, webhook["secret"]):
        Verifier(each).verify(request.body, request.headers)
    listed = (await ada.get(f"/webhooks/{webhook['id']}")).text
    assert "whsec_" not in listed
    assert rotated.json()["previous_secret_until"] in listed


async def test_a_test_is_signed_and_listed_with_its_outcome(ada: Person, receiver: Receiver) -> None:
    webhook = await register(ada, receiver.url, events=["post.deleted"])

    queued = await ada.request("POST", f"/webhooks/{webhook['id']}/test")
    (told,) = await finished(ada, webhook["id"], 1)

    assert queued.status_code == 202, queued.text
    assert (queued.json()["type"], queued.json()["status"]) == ("webhook.test", "pending")
    (request,) = receiver.received
    verified = Verifier(webhook["secret"]).verify(request.body, request.headers)
    assert (verified["type"], verified["data"]) == ("webhook.test", {"webhook_id": webhook["id"]})
    assert (told["type"], told["postID"], told["response_status"]) == ("webhook.test", queued.json()["postID"], 200)


async def test_changes_are_delivered_again_from_a_version_on(ada: Person, receiver: Receiver) -> None:
    webhook = await register(ada, receiver.url)
    for text in ("one", "two", "three"):
        await ada.add(text)
    await finished(ada, webhook["id"], 3)
    path = f"/webhooks/{webhook['id']}/redeliver"

    again = await ada.request("POST", path, json={"after": 1})
    await asyncio.to_thread(receiver.wait_for, 5)

    assert again.status_code == 202, again.text
    assert receiver.versions == [1, 2, 3, 2, 3]
    refused = await ada.request("POST", path, json={"after": 4})
    assert_problem(refused, 410)
    assert refused.json()["type"].endswith(":history-not-kept")
    assert refused.json()["version"] == 3
    for body, field in (
        ({}, "after"),
        ({"after": -1}, "after"),
        ({"after": 2**63}, "after"),
        ({"after": "x"}, "after"),
    ):
        assert_problem(await ada.request("POST", path, json=body), 400, field)


async def test_someone_elses_webhook_is_not_mended(ada: Person, bob: Person, receiver: Receiver) -> None:
    webhook = await register(ada, receiver.url)
    path = f"/webhooks/{webhook['id']}"

    assert_problem(await bob.get(path), 404)
    assert_problem(await bob.request("PATCH", path, json={"enabled": False}), 404)
    assert_problem(await bob.request("POST", f"{path}/secret"), 404)
    assert_problem(await bob.request("POST", f"{path}/test"), 404)
    assert_problem(await bob.request("POST", f"{path}/redeliver", json={"after": 0}), 404)
    assert (await ada.get(path)).json()["disabled_at"] is None


async def test_a_redirect_is_not_followed(ada: Person, receiver: Receiver) -> None:
    with receiving() as elsewhere:
        receiver.status, receiver.headers = 307, {"location": elsewhere.url}
        webhook = await register(ada, receiver.url)
        await ada.add("hello")

        (told,) = await finished(ada, webhook["id"], 1)

    assert elsewhere.received == []
    assert (told["status"], told["response_status"]) == ("pending", 307)


async def test_what_a_receiver_answers_is_kept_in_excerpt_only(ada: Person, receiver: Receiver) -> None:
    receiver.status, receiver.body = 500, b"\x00<b>oh\xff\n" + b"x" * 5_000_000
    webhook = await register(ada, receiver.url)
    await ada.add("hello")

    (told,) = await finished(ada, webhook["id"], 1)

    assert told["response_excerpt"].startswith(" <b>oh\ufffd xxx")
    assert len(told["response_excerpt"]) == 255


async def test_a_receiver_that_is_gone_is_told_no_more(ada: Person, receiver: Receiver) -> None:
    receiver.status = 410
    webhook = await register(ada, receiver.url)
    await ada.add("one")
    await finished(ada, webhook["id"], 1)
    await ada.add("two")
    await asyncio.sleep(0.5)

    (listed,) = (await ada.get("/webhooks")).json()

    assert listed["disabled_at"] is not None
    assert listed["disabled_reason"] == "The receiver answered 410 Gone."
    assert receiver.versions == [1]
    assert [one["status"] for one in await deliveries(ada, webhook["id"])] == ["failed"]


async def test_an_erased_account_tells_nobody_any_more(ada: Person, client: AsyncClient, receiver: Receiver) -> None:
    await register(ada, receiver.url)

    assert (await ada.request("DELETE", "/me", json={"password": PASSWORD})).status_code == 204

    again = await Person.sign_up(client, ada.email)
    assert (await again.get("/webhooks")).json() == []
    await again.add("hello")
    await asyncio.sleep(0.3)
    assert receiver.received == []
