"""The account: what a person sees and changes of it on the page, and what the page says when it is taken away."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PASSWORD, Visitor, log_in, write
from tests.browser.test_appearance import inspect
from tests.e2e.operator import Operator
from tests.e2e.server import Server, serving
from tests.mailbox import Mailbox, link_of

NEW_PASSWORD = "another horse battery"
ENDED = "You were logged out"


@pytest.fixture
def ada(visit: Callable[..., Visitor], started: Server) -> Visitor:
    return visit(started.url)


def open_account(window: Page) -> None:
    window.get_by_role("link", name="Account").click()
    expect(window.get_by_role("heading", name="Your account")).to_be_focused()


def ask_for_address(window: Page, address: str, password: str = PASSWORD) -> None:
    window.get_by_label("New address").fill(address)
    window.get_by_label("Your password").fill(password)
    window.get_by_role("button", name="Change the address").click()


def change_password(window: Page, current: str, new: str) -> None:
    window.get_by_label("Current password").fill(current)
    window.get_by_label("New password").fill(new)
    window.get_by_role("button", name="Change the password").click()


def test_a_person_confirms_their_address(ada: Visitor, mailbox: Mailbox) -> None:
    window = ada.sign_up("confirms@example.com")
    open_account(window)
    assert window.url.endswith("/#account")
    expect(window.get_by_text("Not confirmed yet")).to_be_visible()

    window.get_by_role("button", name="Mail me a link").click()
    expect(window.get_by_text("A mail is on its way")).to_be_visible()
    other = ada.context.new_page()
    other.goto(link_of(mailbox.wait_for("verify-email", "confirms@example.com")))
    other.get_by_role("button", name="Confirm").click()
    expect(other.get_by_text("Your address is confirmed.")).to_be_visible()

    window.bring_to_front()
    window.evaluate("dispatchEvent(new Event('focus'))")
    expect(window.get_by_text("Confirmed: you read mail at this address.")).to_be_visible()
    expect(window.get_by_role("button", name="Mail me a link")).to_be_hidden()


def test_a_person_changes_their_address_and_what_they_were_writing_stays(ada: Visitor, mailbox: Mailbox) -> None:
    window = ada.sign_up("before@example.com")
    window.get_by_label("New post").fill("a thought")
    open_account(window)

    ask_for_address(window, "after@example.com", "not this one")
    expect(window.get_by_label("Your password")).to_have_accessible_description("Password is wrong")
    expect(window.get_by_label("Your password")).to_be_focused()
    expect(window.get_by_label("New address")).to_have_value("after@example.com")
    ask_for_address(window, "after")
    expect(window.get_by_label("New address")).to_have_attribute("aria-invalid", "true")
    ada.forget("status of 403", "status of 400")
    ask_for_address(window, " After@Example.com ")
    expect(window.get_by_text("A mail is on its way to After@Example.com")).to_be_visible()
    expect(window.get_by_label("Your password")).to_have_value("")

    other = ada.context.new_page()
    other.goto(link_of(mailbox.wait_for("confirm-email", "after@example.com")))
    other.get_by_role("button", name="Use this address").click()
    expect(other.get_by_text("Your account has the new address now.")).to_be_visible()

    for each in (other, window):
        expect(each.locator("#address")).to_have_text("after@example.com")
    window.get_by_role("link", name="Back to your posts").click()
    expect(window.get_by_label("New post")).to_have_value("a thought")
    window.reload()
    expect(window.locator("#address")).to_have_text("after@example.com")
    expect(window.get_by_label("New post")).to_have_value("a thought")


def test_a_person_changes_their_password_and_other_devices_are_logged_out(
    ada: Visitor, visit: Callable[..., Visitor], started: Server
) -> None:
    window = ada.sign_up("password@example.com")
    phone = visit(started.url)
    elsewhere = phone.open()
    log_in(elsewhere, "password@example.com", PASSWORD)
    expect(elsewhere.get_by_text("Live", exact=True)).to_be_visible()
    open_account(window)

    change_password(window, "not this one", NEW_PASSWORD)
    expect(window.get_by_label("Current password")).to_have_accessible_description("Password is wrong")
    change_password(window, PASSWORD, "password1")
    expect(window.get_by_text("too common")).to_be_visible()
    ada.forget("status of 403", "status of 400")
    change_password(window, PASSWORD, NEW_PASSWORD)

    expect(window.get_by_text("Your password is changed")).to_be_visible()
    expect(elsewhere.get_by_text(f"{ENDED}: this session was ended on another device")).to_be_visible()
    phone.forget("status of 401")
    window.get_by_role("link", name="Back to your posts").click()
    write(window, "still here")
    expect(window.locator(".post .text")).to_have_text(["still here"])
    log_in(elsewhere, "password@example.com", NEW_PASSWORD)
    expect(elsewhere.locator(".post .text")).to_have_text(["still here"])


@pytest.mark.parametrize("view", ["", "#account"])
def test_the_page_says_so_when_an_operator_disables_the_person(
    ada: Visitor, folder: Path, started: Server, view: Literal["", "#account"]
) -> None:
    email = f"disabled{len(view)}@example.com"
    window = ada.sign_up(email)
    if view:
        open_account(window)

    Operator(folder, {}).told("disable", email)

    expect(window.get_by_role("heading", name="Log in")).to_be_visible()
    expect(window.get_by_text(f"{ENDED}: the people who run this service have disabled your account.")).to_be_visible()
    expect(window.get_by_role("heading", name="Your account")).to_have_count(0)
    log_in(window, email, PASSWORD)
    expect(window.get_by_text("Email or password is wrong")).to_be_visible()
    ada.forget("status of 401")

    Operator(folder, {}).told("enable", email)
    window.get_by_role("button", name="Log in").click()
    expect(window.get_by_text("Live", exact=True)).to_be_visible()
    expect(window.get_by_text(ENDED)).to_be_hidden()


def test_a_person_who_logs_out_is_told_nothing(ada: Visitor) -> None:
    window = ada.sign_up("leaves@example.com")
    open_account(window)
    window.get_by_role("button", name="Log out").click()

    expect(window.get_by_role("heading", name="Log in")).to_be_visible()
    expect(window.get_by_label("Email")).to_be_focused()
    expect(window.get_by_text(ENDED)).to_have_count(0)


def test_the_address_of_the_view_opens_it_after_the_log_in_and_back_leads_to_the_posts(ada: Visitor) -> None:
    window = ada.sign_up("bookmarks@example.com", "/#account")
    expect(window.get_by_role("heading", name="Your account")).to_be_visible()
    expect(window).to_have_title("Your account · Postline")
    window.get_by_role("link", name="Back to your posts").click()
    expect(window.get_by_label("New post")).to_be_focused()
    expect(window).to_have_title("Postline")

    window.go_back()
    expect(window.get_by_role("heading", name="Your account")).to_be_focused()
    expect(window.get_by_label("New post")).to_be_hidden()


def test_where_no_mail_can_be_sent_the_address_is_only_shown(visit: Callable[..., Visitor], tmp_path: Path) -> None:
    settings = {"ENVIRONMENT": "production", "JWT_SECRET": "3c9a1f5e7b2d8c4a6f0e1d3b5a7c9e2f4b6d8a0c1e3f5a7b9d2c4e6f"}
    with serving(tmp_path, settings=settings) as server:
        window = visit(server.url).sign_up("nomail@example.com")
        open_account(window)
        expect(window.get_by_text("Not confirmed yet")).to_be_visible()
        expect(window.get_by_label("New address")).to_be_hidden()
        expect(window.get_by_role("button", name="Mail me a link")).to_be_hidden()
        change_password(window, PASSWORD, NEW_PASSWORD)
        expect(window.get_by_text("Your password is changed")).to_be_visible()
        window.close()


def test_an_account_that_can_not_be_read_says_so_and_is_read_on_coming_back(ada: Visitor) -> None:
    window = ada.sign_up("offline@example.com")
    ada.context.route("**/me", lambda route: route.abort())
    open_account(window)
    expect(window.get_by_role("alert").filter(has_text="can't be reached")).to_be_visible()
    ada.forget("ERR_FAILED")

    ada.context.unroute("**/me")
    window.evaluate("dispatchEvent(new Event('focus'))")
    expect(window.get_by_text("Not confirmed yet")).to_be_visible()
    expect(window.get_by_role("alert").filter(has_text="can't be reached")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_the_account_is_accessible_and_fits(
    visit: Callable[..., Visitor], started: Server, scheme: Literal["light", "dark"], width: int
) -> None:
    visitor = visit(started.url, color_scheme=scheme, viewport={"width": width, "height": 800})
    name = f"account-{width}-{scheme}"
    window = visitor.sign_up(f"a-person-with-a-rather-long-address-of-many-letters-{width}-{scheme}@example.com")
    open_account(window)
    expect(window.get_by_text("Not confirmed yet")).to_be_visible()
    inspect(window, name)
    window.get_by_role("button", name="Mail me a link").click()
    ask_for_address(window, "wrong")
    expect(window.get_by_label("New address")).to_have_attribute("aria-invalid", "true")
    expect(window.get_by_text("A mail is on its way")).to_be_visible()
    change_password(window, PASSWORD, "password1")
    expect(window.get_by_text("too common")).to_be_visible()
    visitor.forget("status of 400")
    inspect(window, f"{name}-refused")
