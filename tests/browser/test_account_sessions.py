"""Where a person is logged in, as the page shows it, and how they log out there."""

from collections.abc import Callable
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PASSWORD, Visitor, log_in
from tests.browser.test_account import open_account
from tests.browser.test_appearance import inspect
from tests.e2e.server import Server

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/604.1"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"


def log_in_elsewhere(
    visit: Callable[..., Visitor], server: Server, email: str, user_agent: str
) -> tuple[Visitor, Page]:
    visitor = visit(server.url, user_agent=user_agent)
    window = visitor.open()
    log_in(window, email, PASSWORD)
    expect(window.get_by_text("Live", exact=True)).to_be_visible()
    return visitor, window


def test_a_person_logs_out_one_device(ada: Visitor, visit: Callable[..., Visitor], server: Server) -> None:
    window = ada.sign_up("one-device@example.com")
    phone, on_phone = log_in_elsewhere(visit, server, "one-device@example.com", IPHONE)
    _, on_desk = log_in_elsewhere(visit, server, "one-device@example.com", FIREFOX)
    open_account(window)
    devices = window.locator("#account-sessions .entries .name")
    expect(devices).to_have_text(["Chrome on Linux", "Firefox on Windows", "Safari on iPhone"])
    expect(window.locator("#account-sessions li").first).to_contain_text("This device")

    window.get_by_role("button", name="Log out: Safari on iPhone").click()

    expect(window.get_by_text("Safari on iPhone is logged out.")).to_be_visible()
    expect(devices).to_have_text(["Chrome on Linux", "Firefox on Windows"])
    expect(window.get_by_role("heading", name="Where you are logged in")).to_be_focused()
    expect(on_phone.get_by_role("heading", name="Log in")).to_be_visible()
    phone.forget("status of 401")
    expect(on_desk.get_by_label("New post")).to_be_visible()


@pytest.mark.parametrize(("scheme", "width"), [("light", 375), ("dark", 1280)])
def test_a_person_logs_out_all_other_devices(
    visit: Callable[..., Visitor], server: Server, scheme: Literal["light", "dark"], width: int
) -> None:
    email = f"others-{width}@example.com"
    visitor = visit(server.url, color_scheme=scheme, viewport={"width": width, "height": 800})
    window = visitor.sign_up(email)
    elsewhere = [log_in_elsewhere(visit, server, email, each) for each in (IPHONE, FIREFOX)]
    open_account(window)
    expect(window.locator("#account-sessions li")).to_have_count(3)
    inspect(window, f"sessions-{width}-{scheme}")

    window.get_by_role("button", name="Log out all other devices").click()

    expect(window.get_by_text("All other devices are logged out.")).to_be_visible()
    expect(window.locator("#account-sessions li")).to_have_count(1)
    expect(window.get_by_role("button", name="Log out all other devices")).to_be_hidden()
    for other, its_window in elsewhere:
        expect(its_window.get_by_role("heading", name="Log in")).to_be_visible()
        other.forget("status of 401")
    expect(window.get_by_role("heading", name="Where you are logged in")).to_be_focused()


def test_a_device_that_can_not_be_logged_out_stays_and_the_page_says_why(
    ada: Visitor, visit: Callable[..., Visitor], server: Server
) -> None:
    window = ada.sign_up("stays@example.com")
    log_in_elsewhere(visit, server, "stays@example.com", FIREFOX)
    open_account(window)
    ada.context.route("**/auth/sessions/*", lambda route: route.abort())

    window.get_by_role("button", name="Log out: Firefox on Windows").click()

    expect(window.locator("#account-sessions [role=alert]")).to_have_text("The service can't be reached.")
    expect(window.locator("#account-sessions li")).to_have_count(2)
    ada.forget("ERR_FAILED")
