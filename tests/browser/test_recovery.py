"""A forgotten password, and an address that is confirmed, as a person does it on the page."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PASSWORD, Visitor, log_in, person_in
from tests.e2e.server import Client, Server
from tests.mailbox import Mailbox, link_of

NEW_PASSWORD = "another horse battery"


def test_a_person_who_forgot_the_password_gets_in_again(
    visit: Callable[..., Visitor], started: Server, mailbox: Mailbox
) -> None:
    Client.sign_up(started.url, "forgets@example.com").add("still there")
    ada = visit(started.url)
    window = ada.open()
    window.get_by_label("Email").fill("forgets@example.com")
    window.get_by_role("button", name="Forgot your password?").click()
    expect(window.get_by_text("a mail is on its way")).to_be_visible()

    window.goto(link_of(mailbox.wait_for("password-reset", "forgets@example.com")))
    expect(window.get_by_role("heading", name="Reset your password")).to_be_visible()
    assert window.url == f"{started.url}/"
    window.get_by_label("New password").fill("password1")
    window.get_by_role("button", name="Save the password").click()
    expect(window.get_by_text("too common")).to_be_visible()
    ada.forget("status of 400")
    window.get_by_label("New password").fill(NEW_PASSWORD)
    window.get_by_role("button", name="Save the password").click()
    expect(window.get_by_text("Your password is changed")).to_be_visible()

    log_in(window, "forgets@example.com", NEW_PASSWORD)
    expect(window.get_by_text("still there")).to_be_visible()


def test_who_is_logged_in_and_sets_a_new_password_by_mail_is_told_once_why_to_log_in(
    visit: Callable[..., Visitor], started: Server, mailbox: Mailbox
) -> None:
    ada = visit(started.url)
    window = ada.sign_up("resets@example.com")
    person_in(window, started).request("POST", "/auth/password-reset", json={"email": "resets@example.com"})
    window.goto(link_of(mailbox.wait_for("password-reset", "resets@example.com")))
    window.get_by_label("New password").fill(NEW_PASSWORD)
    window.get_by_role("button", name="Save the password").click()

    expect(window.get_by_text("Your password is changed. Log in with the new one.")).to_be_visible()
    expect(window.get_by_role("heading", name="Log in")).to_be_visible()
    expect(window.get_by_label("Email")).to_be_focused()
    ada.forget("status of 401")


def test_who_is_logged_in_to_another_account_stays_so_when_a_password_is_set_by_mail(
    visit: Callable[..., Visitor], started: Server, mailbox: Mailbox
) -> None:
    bob = Client.sign_up(started.url, "other@example.com")
    window = visit(started.url).sign_up("stays@example.com")
    bob.request("POST", "/auth/password-reset", json={"email": "other@example.com"})
    window.goto(link_of(mailbox.wait_for("password-reset", "other@example.com")))
    window.get_by_label("New password").fill(NEW_PASSWORD)
    window.get_by_role("button", name="Save the password").click()

    expect(window.locator("#notice")).to_have_text(
        "The password is changed. You are still logged in as stays@example.com, another account."
    )
    person_in(window, started).add("still allowed")
    expect(window.get_by_text("still allowed")).to_be_visible()


@pytest.mark.parametrize(
    ("purpose", "words"),
    [
        ("password-reset", ("Save the password", "You are logged in as {}, so nothing is left to do")),
        ("verify-email", ("Confirm", "Your account shows whether your address is confirmed, and there")),
        ("confirm-email", ("Use this address", "Your account shows which address it has, and there")),
    ],
)
def test_who_is_logged_in_and_follows_a_link_again_is_not_told_to_log_in(
    visit: Callable[..., Visitor], started: Server, mailbox: Mailbox, purpose: str, words: tuple[str, str]
) -> None:
    button, advice = words
    address = f"again-{purpose}@example.com"
    ada = visit(started.url)
    window = ada.sign_up(f"old-{address}" if purpose == "confirm-email" else address)
    person = person_in(window, started)
    if purpose == "password-reset":
        person.request("POST", "/auth/password-reset", json={"email": address})
    elif purpose == "verify-email":
        person.request("POST", "/me/email/verification")
    else:
        person.request("POST", "/me/email", json={"email": address, "password": PASSWORD})
    link = link_of(mailbox.wait_for(purpose, address))

    def follow() -> None:
        window.goto(link)
        if purpose == "password-reset":
            window.get_by_label("New password").fill(NEW_PASSWORD)
        window.get_by_role("button", name=button).click()
        expect(window.get_by_role("button", name=button)).to_have_count(0)

    follow()
    if purpose == "password-reset":
        log_in(window, address, NEW_PASSWORD)
    expect(window.get_by_text("Live", exact=True)).to_be_visible()
    follow()

    alert = window.get_by_role("alert").filter(has_text="This link does not work any more")
    expect(alert).to_contain_text(advice.format(address))
    expect(alert).not_to_contain_text("Log in")
    window.get_by_role("button", name="Go on").click()
    expect(window.get_by_label("New post")).to_be_focused()
    ada.forget("status of 400", "status of 401")


def test_who_forgot_the_password_and_gave_no_address_is_asked_for_it(
    visit: Callable[..., Visitor], started: Server
) -> None:
    window = visit(started.url).open()
    window.get_by_role("button", name="Forgot your password?").click()
    expect(window.get_by_label("Email")).to_be_focused()
    expect(window.get_by_label("Email")).to_have_accessible_description(re.compile("Type the address"))


@pytest.mark.parametrize(
    ("purpose", "words"),
    [
        ("password-reset", ("Save the password", "Your password is changed", "Log in if your password is set")),
        ("verify-email", ("Confirm", "Your address is confirmed.", "Log in: your account shows whether")),
        (
            "confirm-email",
            ("Use this address", "Your account has the new address now.", "Log in: your account shows which"),
        ),
    ],
)
def test_a_link_works_once_and_says_so_when_it_is_followed_again(
    visit: Callable[..., Visitor], started: Server, mailbox: Mailbox, purpose: str, words: tuple[str, str, str]
) -> None:
    button, done, twice = words
    address = f"{purpose}@example.com"
    person = Client.sign_up(started.url, f"old-{address}" if purpose == "confirm-email" else address)
    if purpose == "password-reset":
        person.request("POST", "/auth/password-reset", json={"email": address})
    elif purpose == "verify-email":
        person.request("POST", "/me/email/verification")
    else:
        person.request("POST", "/me/email", json={"email": address, "password": PASSWORD})
    link = link_of(mailbox.wait_for(purpose, address))
    ada = visit(started.url)
    window = ada.open()

    def follow() -> None:
        window.goto(link)
        if purpose == "password-reset":
            window.get_by_label("New password").fill(NEW_PASSWORD)
        window.get_by_role("button", name=button).click()

    follow()
    expect(window.get_by_text(done)).to_be_visible()
    expect(window.get_by_label("Email")).to_be_focused()

    follow()
    expect(window.get_by_role("alert").filter(has_text="This link does not work any more")).to_contain_text(twice)
    ada.forget("status of 400")
    expect(window.get_by_role("button", name=button)).to_have_count(0)
    expect(window.get_by_role("button", name="Go on")).to_be_focused()
    window.get_by_role("button", name="Go on").click()
    expect(window.get_by_role("heading", name="Log in")).to_be_visible()
    expect(window.get_by_label("Email")).to_be_focused()
