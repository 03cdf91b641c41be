"""Every view of the page for people who touch, who zoom, who choose their own colours, and who listen."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PASSWORD, RESULTS, Visitor, person_in, write
from tests.browser.test_account import open_account
from tests.browser.test_appearance import inspect
from tests.e2e.server import Client, Server

TARGETS = "button, a, input, textarea, select, summary"
# Boxes are small, and their labels are what is touched. A link within a text is as high as its line.
SMALL = """(targets) => [...document.querySelectorAll(targets)]
    .filter((each) => each.checkVisibility() && !each.closest(".text, noscript"))
    .map((each) => (each.matches("[type=checkbox]") ? each.closest("label") : each))
    .filter((each) => each.getBoundingClientRect().height < 44 || each.getBoundingClientRect().width < 44)
    .map((each) => each.outerHTML)"""
# What a screen reader announces: each change of a live region that leaves a text in it.
LISTEN = """
window.announced = [];
const listen = () => new MutationObserver((records) => {
  const regions = new Set(records.map(({ target }) => (target.closest ? target : target.parentElement))
    .map((each) => each?.closest("[role=status], [role=alert]")).filter(Boolean));
  for (const region of regions) if (region.textContent.trim()) window.announced.push(region.textContent.trim());
}).observe(document.body, { subtree: true, childList: true, characterData: true });
addEventListener("DOMContentLoaded", listen);
"""


def views(visitor: Visitor, server: Server, name: str) -> Iterator[tuple[str, Page]]:
    """Yield each view of the page in turn, with its name."""
    window = visitor.open()
    yield "door", window
    window.get_by_role("button", name="Create an account instead").click()
    window.get_by_label("Email").fill("a@example")
    window.get_by_label("Password").fill("short")
    window.get_by_role("button", name="Create an account", exact=True).click()
    expect(window.get_by_label("Password")).to_have_attribute("aria-invalid", "true")
    visitor.forget("status of 400")
    yield "refused", window
    for link in ("password-reset", "verify-email", "confirm-email"):
        window.goto(f"{server.url}/#{link}=forged")
        yield link, window
        if link == "password-reset":
            window.get_by_label("New password").fill(PASSWORD)
        window.locator("#recovery [type=submit]").click()
        expect(window.get_by_text("This link does not work any more")).to_be_visible()
        visitor.forget("status of 400")
        yield f"{link}-again", window
        window.get_by_role("button", name="Go on").click()
    window.close()

    window = visitor.sign_up(f"axe-{name}@example.com")
    yield "empty", window
    write(window, "https://example.com/" + "nowheretobreak" * 8)
    write(window, "lemons, bread\nand oil")
    expect(window.locator(".post")).to_have_count(2)
    yield "posts", window
    window.goto(f"{server.url}/#q=lemons")
    expect(window.get_by_text("1 post found.")).to_be_visible()
    yield "found", window

    person = person_in(window, server)
    person.request("POST", "/me/tokens", json={"name": "Nightly backup " * 6, "scopes": ["posts:read"]})
    person.request("POST", "/webhooks", json={"url": f"https://93.184.216.34/{'hook' * 30}"})
    Client(server.url, "", server.http.post(f"{server.url}/auth/login", json=log_in_as(name)).json())
    window.goto(f"{server.url}/#account")
    expect(window.locator("#account-webhooks .webhooks li")).to_have_count(1)
    for summary in window.locator("summary").all():
        summary.click()
    expect(window.get_by_text("Nothing was sent yet.")).to_be_visible()
    yield "account", window


def log_in_as(name: str) -> dict[str, str]:
    return {"email": f"{name}@example.com", "password": PASSWORD}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("phone", {"viewport": {"width": 375, "height": 700}, "has_touch": True, "is_mobile": True}),
        ("phone-dark", {"viewport": {"width": 375, "height": 700}, "has_touch": True, "color_scheme": "dark"}),
        ("desk", {"viewport": {"width": 1280, "height": 800}}),
        ("desk-dark", {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"}),
        # 1280 px at 200 % and at 400 %.
        ("zoomed", {"viewport": {"width": 640, "height": 400}}),
        ("zoomed-much", {"viewport": {"width": 320, "height": 256}}),
        ("forced-colours", {"viewport": {"width": 375, "height": 700}, "forced_colors": "active"}),
    ],
)
def test_every_view_is_accessible_and_fits(
    visit: Callable[..., Visitor], server: Server, name: str, options: dict[str, Any]
) -> None:
    visitor = visit(server.url, **options)
    for view, window in views(visitor, server, name):
        inspect(window, f"{view}-{name}")
        if options.get("has_touch"):
            assert window.evaluate(SMALL, TARGETS) == [], view


def test_letters_twice_as_large_fit_on_a_phone(visit: Callable[..., Visitor], server: Server) -> None:
    visitor = visit(server.url, viewport={"width": 375, "height": 700})
    for view, window in views(visitor, server, "large-letters"):
        window.evaluate("document.documentElement.style.fontSize = '200%'")
        window.screenshot(path=RESULTS / f"{view}-large-letters.png", full_page=True)
        assert window.evaluate("document.documentElement.scrollWidth") <= 375, view


def test_nothing_moves_for_people_who_want_no_motion(ada: Visitor) -> None:
    window = ada.sign_up("no-motion@example.com")
    write(window, "still")
    expect(window.locator(".post .text")).to_have_text(["still"])
    assert window.evaluate("document.getAnimations().length") == 0


def test_what_happens_is_announced_once(ada: Visitor, server: Server) -> None:
    ada.context.add_init_script(LISTEN)
    window = ada.open()
    window.get_by_label("Email").fill("nobody@example.com")
    window.get_by_label("Password").fill("not this one")
    window.get_by_role("button", name="Log in").click()
    expect(window.get_by_text("Email or password is wrong")).to_be_visible()
    ada.forget("status of 401")
    assert announced(window) == ["Email or password is wrong"]

    Client.sign_up(server.url, "announced@example.com")
    window.get_by_label("Email").fill("announced@example.com")
    window.get_by_label("Password").fill(PASSWORD)
    window.get_by_role("button", name="Log in").click()
    expect(window.get_by_text("Live", exact=True)).to_be_visible()
    assert announced(window) == ["Live"]

    open_account(window)
    expect(window.get_by_text("Not confirmed yet")).to_be_visible()
    assert announced(window) == []
    window.get_by_label("What the token is for").fill("Backup")
    window.get_by_role("checkbox", name="read your posts").check()
    window.get_by_role("button", name="Create a token").click()
    expect(window.get_by_text("Backup is made.")).to_be_visible()
    assert announced(window) == ["Backup is made."]
    window.get_by_role("button", name="Revoke: Backup").click()
    expect(window.get_by_text("Backup is revoked.")).to_be_visible()
    assert announced(window) == ["Backup is revoked. What uses it is refused from now on."]


def announced(window: Page) -> list[str]:
    """Return what was announced since the last call."""
    texts: list[str] = window.evaluate("announced.splice(0)")
    return texts
