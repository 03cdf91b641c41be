"""Personal tokens, as a person creates, copies and revokes them on the page."""

from collections.abc import Callable
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.test_account import open_account
from tests.browser.test_appearance import inspect
from tests.e2e.server import Client, Server


def create_token(window: Page, name: str, *scopes: str, last_day: str = "") -> str:
    window.get_by_label("What the token is for").fill(name)
    for scope in scopes:
        window.get_by_role("checkbox", name=scope).check()
    window.get_by_label("Last day on which it works").fill(last_day)
    window.get_by_role("button", name="Create a token").click()
    expect(window.get_by_text(f"{name} is made.")).to_be_visible()
    return window.get_by_label("The new token").input_value()


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_person_creates_copies_and_revokes_a_token(
    visit: Callable[..., Visitor], server: Server, scheme: Literal["light", "dark"], width: int
) -> None:
    visitor = visit(server.url, color_scheme=scheme, viewport={"width": width, "height": 800})
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    window = visitor.sign_up(f"tokens-{width}-{scheme}@example.com")
    open_account(window)

    token = create_token(window, "Nightly backup", "read your posts", last_day="2046-01-02")
    copy = window.get_by_role("button", name="Copy the token")
    expect(copy).to_be_focused()
    copy.click()
    expect(window.get_by_text("Copied.")).to_be_visible()
    assert window.evaluate("navigator.clipboard.readText()") == token
    script = Client(server.url, "", {"access_token": token})
    assert script.request("GET", "/posts").status_code == 200
    assert script.request("POST", "/posts", json={"text": "no"}).status_code == 403

    entry = window.locator("#account-tokens li")
    expect(entry).to_contain_text("Nightly backup")
    expect(entry).to_contain_text("May read posts")
    expect(entry).to_contain_text("expires Jan 2, 2046")
    inspect(window, f"tokens-{width}-{scheme}")
    window.get_by_role("button", name="I have it").click()
    expect(window.get_by_label("The new token")).to_be_hidden()
    expect(window.get_by_label("What the token is for")).to_be_focused()
    assert token not in window.content()

    window.get_by_role("button", name="Revoke: Nightly backup").click()
    expect(window.get_by_text("Nightly backup is revoked.")).to_be_visible()
    expect(entry).to_have_count(0)
    expect(window.get_by_role("heading", name="Personal tokens")).to_be_focused()
    assert script.request("GET", "/posts").status_code == 401


def test_a_token_that_may_do_nothing_or_has_expired_is_refused_at_its_field(ada: Visitor) -> None:
    window = ada.sign_up("no-scope@example.com")
    open_account(window)
    window.get_by_label("What the token is for").fill("Nothing")
    window.get_by_role("button", name="Create a token").click()
    box = window.get_by_role("checkbox", name="read your posts")
    expect(box).to_have_accessible_description("Choose at least one.")
    expect(box).to_be_focused()

    box.check()
    window.get_by_label("Last day on which it works").fill("2020-01-02")
    window.get_by_role("button", name="Create a token").click()
    expect(window.get_by_label("Last day on which it works")).to_be_focused()
    expect(window.locator("#token-expires-error")).to_have_text("This day is over. Choose a later one.")
    expect(window.get_by_label("The new token")).to_be_hidden()


def test_revoking_a_token_leads_to_the_next_one(ada: Visitor) -> None:
    window = ada.sign_up("several@example.com")
    open_account(window)
    for name in ("one", "two", "three"):
        create_token(window, name, "add, edit and delete")
    expect(window.locator("#account-tokens .name")).to_have_text(["three", "two", "one"])
    expect(window.locator("#account-tokens li").first).to_contain_text("not used yet · does not expire")

    window.get_by_role("button", name="Revoke: two").click()

    expect(window.locator("#account-tokens .name")).to_have_text(["three", "one"])
    expect(window.get_by_role("button", name="Revoke: one")).to_be_focused()
