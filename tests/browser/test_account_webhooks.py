"""Webhooks, as a person adds, tests, mends and deletes them on the page."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor, person_in
from tests.browser.test_account import open_account
from tests.browser.test_appearance import inspect
from tests.e2e.server import Server, free_port, serving
from tests.receiver import Receiver, receiving


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


@pytest.fixture(scope="module")
def started(folder: Path) -> Iterator[Server]:
    with serving(folder, settings={"WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}) as server:
        yield server


@pytest.fixture
def ada(visit: Callable[..., Visitor], started: Server) -> Visitor:
    return visit(started.url)


def add_webhook(window: Page, url: str) -> str:
    window.get_by_label("Address to send to").fill(url)
    window.get_by_role("button", name="Add a webhook").click()
    expect(window.get_by_text("The webhook is added.")).to_be_visible()
    expect(window.get_by_role("button", name="Copy the secret")).to_be_focused()
    return window.get_by_label("The webhook's secret").input_value()


@pytest.mark.parametrize(("scheme", "width"), [("light", 375), ("dark", 1280)])
def test_a_person_adds_a_webhook_copies_its_secret_tests_it_and_reads_what_was_sent(
    visit: Callable[..., Visitor], started: Server, receiver: Receiver, scheme: Literal["light", "dark"], width: int
) -> None:
    visitor = visit(started.url, color_scheme=scheme, viewport={"width": width, "height": 800})
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    window = visitor.sign_up(f"webhooks-{width}@example.com")
    open_account(window)
    url = f"{receiver.url}/{'long' * 30}/{width}"
    received = len(receiver.received)

    secret = add_webhook(window, url)
    window.get_by_role("button", name="Copy the secret").click()
    expect(window.get_by_text("Copied.")).to_be_visible()
    assert window.evaluate("navigator.clipboard.readText()") == secret
    assert secret.startswith("whsec_")
    inspect(window, f"webhook-added-{width}-{scheme}")
    window.locator("#account-webhooks").get_by_role("button", name="I have it").click()
    expect(window.get_by_label("Address to send to")).to_be_focused()
    assert secret not in window.content()

    entry = window.locator("#account-webhooks .webhooks > li")
    expect(entry).to_contain_text(url)
    expect(entry).to_contain_text("Posts that are added, deleted, edited")
    expect(entry).to_contain_text("Active")
    window.get_by_role("button", name="Send a test").click()
    expect(window.get_by_text("The test arrived: it was answered with 200.")).to_be_visible()
    person_in(window, started).add("sent on")
    receiver.wait_for(received + 2)
    entry.get_by_text("Recent deliveries").click()
    expect(entry.locator("details li")).to_have_text([re.compile("^Test, .*200$"), re.compile("^Post added, ")])
    inspect(window, f"webhook-{width}-{scheme}")


def test_a_webhook_that_was_stopped_is_enabled_again(ada: Visitor, started: Server, receiver: Receiver) -> None:
    window = ada.sign_up("stopped@example.com")
    person = person_in(window, started)
    webhook = person.request("POST", "/webhooks", json={"url": receiver.url}).json()
    person.request("PATCH", f"/webhooks/{webhook['id']}", json={"enabled": False})
    open_account(window)
    expect(window.get_by_text("It was disabled by its owner.")).to_be_visible()

    window.get_by_role("button", name="Enable again").click()

    expect(window.get_by_text("The webhook is enabled.")).to_be_visible()
    expect(window.get_by_role("button", name="Enable again")).to_be_hidden()
    expect(window.get_by_role("button", name="Pause")).to_be_focused()
    assert person.request("GET", "/webhooks").json()[0]["disabled_at"] is None


def test_a_webhook_that_is_paused_sends_what_it_missed_when_it_is_enabled_again(
    ada: Visitor, started: Server, receiver: Receiver
) -> None:
    window = ada.sign_up("pauses@example.com")
    person = person_in(window, started)
    open_account(window)
    add_webhook(window, receiver.url)
    window.get_by_role("button", name="Pause").click()
    expect(window.get_by_text("The webhook is paused.")).to_be_visible()
    expect(window.get_by_role("button", name="Enable again")).to_be_focused()
    expect(window.get_by_role("button", name="Pause")).to_be_hidden()
    assert person.request("GET", "/webhooks").json()[0]["disabled_at"] is not None
    received = len(receiver.received)
    person.add("missed")

    window.keyboard.press("Enter")

    expect(window.get_by_role("button", name="Pause")).to_be_focused()
    receiver.wait_for(received + 1)
    assert len(receiver.received) == received + 1


def test_the_events_of_a_webhook_are_chosen_anew(ada: Visitor, started: Server, receiver: Receiver) -> None:
    window = ada.sign_up("chooses@example.com")
    person = person_in(window, started)
    open_account(window)
    add_webhook(window, receiver.url)
    entry = window.locator("#account-webhooks .webhooks > li")
    entry.get_by_text("Change", exact=True).click()
    events = entry.get_by_role("checkbox")
    expect(entry.get_by_role("checkbox", checked=True)).to_have_count(3)
    for box in events.all():
        box.uncheck()
    save = entry.get_by_role("button", name="Save the changes")
    save.click()
    expect(events.first).to_be_focused()
    expect(events.first).to_have_accessible_description("Choose at least one.")

    entry.get_by_label("deleted").check()
    # What the list tells meanwhile takes no choice back.
    with window.expect_response("**/webhooks"):
        window.evaluate("dispatchEvent(new Event('focus'))")
    expect(entry.get_by_role("checkbox", checked=True)).to_have_count(1)
    save.click()

    expect(window.get_by_text("The webhook is changed.")).to_be_visible()
    expect(entry).to_contain_text("Posts that are deleted")
    expect(events.first).to_be_hidden()
    expect(entry.locator("summary").first).to_be_focused()
    assert person.request("GET", "/webhooks").json()[0]["events"] == ["post.deleted"]
    expect(save).to_have_count(0)
    entry.get_by_text("Change", exact=True).click()
    expect(save).to_have_accessible_name(f"Save the changes: {receiver.url}")
    inspect(window, "webhook-change")


def test_what_a_webhook_sends_goes_to_its_new_address(ada: Visitor, started: Server, receiver: Receiver) -> None:
    window = ada.sign_up("moves@example.com")
    person = person_in(window, started)
    open_account(window)
    add_webhook(window, f"http://127.0.0.1:{free_port()}/old")
    entry = window.locator("#account-webhooks .webhooks > li")
    entry.get_by_text("Change", exact=True).click()
    address = entry.get_by_label("Address")
    save = entry.get_by_role("button", name="Save the changes")
    address.fill("ftp://example.com")
    save.click()
    expect(address).to_be_focused()
    expect(address).to_have_accessible_description("A web address begins with https:// or http://.")
    ada.forget("status of 400")

    address.fill(f"{receiver.url}/new")
    # What the list tells meanwhile takes nothing back.
    with window.expect_response("**/webhooks"):
        window.evaluate("dispatchEvent(new Event('focus'))")
    received = len(receiver.received)
    save.click()

    expect(window.get_by_text("The webhook is changed.")).to_be_visible()
    expect(entry.locator(".name")).to_have_text(f"{receiver.url}/new")
    person.add("sent on")
    receiver.wait_for(received + 1)
    assert person.request("GET", "/webhooks").json()[0]["url"] == f"{receiver.url}/new"


def test_a_test_that_fails_says_why(ada: Visitor, receiver: Receiver) -> None:
    window = ada.sign_up("fails@example.com")
    open_account(window)
    add_webhook(window, receiver.url)
    receiver.status = 500
    try:
        window.get_by_role("button", name="Send a test").click()
        expect(window.get_by_text("The test failed: it was answered with 500.")).to_be_visible()
    finally:
        receiver.status = 200


def test_a_test_that_nobody_answers_says_so(ada: Visitor) -> None:
    window = ada.sign_up("nobody-answers@example.com")
    open_account(window)
    add_webhook(window, f"http://127.0.0.1:{free_port()}/hook")
    window.get_by_role("button", name="Send a test").click()
    expect(window.get_by_text("The test failed: no answer.")).to_be_visible()


def test_a_secret_is_replaced(ada: Visitor, receiver: Receiver) -> None:
    window = ada.sign_up("rotates@example.com")
    open_account(window)
    first = add_webhook(window, receiver.url)

    window.get_by_role("button", name="New secret").click()

    expect(window.get_by_text("There is a new secret.")).to_be_visible()
    expect(window.locator("#account-webhooks .facts")).to_contain_text("the secret before signs until")
    assert window.get_by_label("The webhook's secret").input_value() not in {first, ""}


def test_deleting_a_webhook_leads_to_the_next_one(ada: Visitor, receiver: Receiver) -> None:
    window = ada.sign_up("deletes@example.com")
    open_account(window)
    for name in ("one", "two", "three"):
        add_webhook(window, f"{receiver.url}/{name}")
    names = window.locator("#account-webhooks .name")
    expect(names).to_have_text([f"{receiver.url}/{name}" for name in ("three", "two", "one")])

    window.get_by_role("button", name=f"Delete: {receiver.url}/two").click()
    expect(window.get_by_text("The webhook is deleted.")).to_be_visible()
    expect(window.get_by_role("button", name=f"Delete: {receiver.url}/one")).to_be_focused()

    for name in ("one", "three"):
        window.get_by_role("button", name=f"Delete: {receiver.url}/{name}").click()
        expect(window.get_by_role("button", name=f"Delete: {receiver.url}/{name}")).to_have_count(0)
    expect(window.get_by_role("heading", name="Webhooks")).to_be_focused()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("no address", "This is not a web address. One begins with https://."),
        ("ftp://example.com", "A web address begins with https:// or http://."),
        ("http://10.0.0.1/hook", "This host is not on the public Internet, and nothing is sent elsewhere."),
        ("https://ada:secret@example.com", "must not contain a user name or password"),
    ],
)
def test_an_address_that_can_not_be_used_is_refused_at_its_field(ada: Visitor, url: str, words: str) -> None:
    window = ada.sign_up(f"refused-{len(url)}@example.com")
    open_account(window)
    window.get_by_label("Address to send to").fill(url)
    window.get_by_role("button", name="Add a webhook").click()

    expect(window.get_by_label("Address to send to")).to_have_accessible_description(words)
    expect(window.get_by_label("Address to send to")).to_be_focused()
    expect(window.get_by_label("The webhook's secret")).to_be_hidden()
    ada.forget("status of 400")


def test_a_webhook_for_nothing_is_refused_at_its_field(ada: Visitor) -> None:
    window = ada.sign_up("nothing@example.com")
    open_account(window)
    window.get_by_label("Address to send to").fill("https://example.com")
    events = window.get_by_role("group", name="Send posts that are").get_by_role("checkbox")
    for box in events.all():
        box.uncheck()
    window.get_by_role("button", name="Add a webhook").click()

    expect(events.first).to_be_focused()
    expect(events.first).to_have_accessible_description("Choose at least one.")
