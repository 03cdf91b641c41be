"""The page where addresses are not ASCII, and where the browser keeps nothing."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PASSWORD, QUIET, Visitor, chromium, texts, write
from tests.e2e.server import Client, Server

FULL = """
const refuse = () => { throw new DOMException("The quota has been exceeded.", "QuotaExceededError"); };
Storage.prototype.setItem = refuse;
"""
AHEAD = """
const now = Date.now;
let ahead = 0;
Date.now = () => now() + ahead;
window.advance = (milliseconds) => { ahead += milliseconds; };
"""
NOT_KEPT = "keeps no site data"


@pytest.fixture
def blocked(browser: Browser, server: Server, tmp_path: Path) -> Iterator[Visitor]:
    """Someone whose browser blocks all cookies and site data."""
    (tmp_path / "Default").mkdir()
    preferences = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    (tmp_path / "Default" / "Preferences").write_text(json.dumps(preferences))
    context = browser.browser_type.launch_persistent_context(tmp_path, executable_path=chromium(), args=QUIET)
    visitor = Visitor(context, server.url)
    yield visitor
    complaints = visitor.complaints
    context.close()
    assert complaints == []


@pytest.fixture
def full(visit: Callable[..., Visitor], server: Server) -> Visitor:
    """Someone whose browser has no room for site data."""
    visitor = visit(server.url)
    visitor.context.add_init_script(FULL)
    return visitor


def log_in(window: Page, email: str) -> None:
    window.get_by_label("Email").fill(email)
    window.get_by_label("Password").fill(PASSWORD)
    window.get_by_role("button", name="Log in").click()


@pytest.mark.parametrize(
    "email",
    [
        "jürgen@example.com",
        "مستخدم@example.com",
        "ada@münchen.example.org",
        "用户@例子.example.org",
        "ada+x@example.com",
    ],
)
def test_every_address_that_the_service_takes_logs_in_on_the_page(ada: Visitor, server: Server, email: str) -> None:
    Client.sign_up(server.url, email).add("mine")
    window = ada.open()

    log_in(window, f" {email.upper()} ")

    expect(window.locator(".post .text")).to_have_text(["mine"])


def test_what_is_no_address_is_said_at_its_field(ada: Visitor) -> None:
    window = ada.open()

    log_in(window, "ada")

    field = window.get_by_label("Email")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    ada.forget("status of 400")


@pytest.mark.parametrize("visitor", ["blocked", "full"])
def test_without_storage_a_session_lasts_as_long_as_the_window_and_the_page_says_so(
    request: pytest.FixtureRequest, visitor: str
) -> None:
    person: Visitor = request.getfixturevalue(visitor)
    window = person.open()
    expect(window.get_by_role("heading", name="Log in")).to_be_visible()
    expect(window.locator("#door").get_by_text(NOT_KEPT)).to_be_visible()
    window.close()

    window = person.sign_up(f"{visitor}@example.com")
    expect(window.get_by_text(NOT_KEPT)).to_be_visible()
    write(window, "first")
    expect(window.locator(".post .text")).to_have_text(["first"])
    window.get_by_label("New post").fill("unsent")

    window.reload()
    expect(window.get_by_role("heading", name="Log in")).to_be_visible()
    log_in(window, f"{visitor}@example.com")
    expect(window.locator(".post .text")).to_have_text(["first"])
    window.get_by_role("button", name="Log out").click()
    expect(window.get_by_role("heading", name="Log in")).to_be_visible()
    assert texts(window) == []


@pytest.mark.parametrize("visitor", ["blocked", "full"])
def test_without_storage_the_tokens_are_refreshed_all_the_same(request: pytest.FixtureRequest, visitor: str) -> None:
    person: Visitor = request.getfixturevalue(visitor)
    person.context.add_init_script(AHEAD)
    window = person.sign_up(f"{visitor}-refreshes@example.com")
    window.evaluate("advance(850_000)")

    with window.expect_response("**/auth/refresh") as refreshed:
        write(window, "later")

    assert refreshed.value.status == 200
    expect(window.locator(".post .text")).to_have_text(["later"])


def test_storage_that_fills_up_later_ends_no_session(ada: Visitor) -> None:
    window = ada.sign_up("fills-up@example.com")
    expect(window.get_by_text(NOT_KEPT)).to_have_count(0)
    window.evaluate(f"() => {{ {FULL} }}")
    window.get_by_role("button", name="Log out").click()

    log_in(window, "fills-up@example.com")

    expect(window.get_by_text("Live", exact=True)).to_be_visible()
    expect(window.get_by_text(NOT_KEPT)).to_be_visible()


def test_the_documentation_is_shown_without_storage(blocked: Visitor) -> None:
    window = blocked.open("/docs")

    expect(window.get_by_role("heading", name="Postline")).to_be_visible()
