"""The page's door: what it says of itself, and what it says when somebody can't come in."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PASSWORD, Visitor, log_in, write
from tests.e2e.server import serving


def sign_up(window: Page, email: str, password: str) -> None:
    window.get_by_role("button", name="Create an account instead").click()
    window.get_by_label("Email").fill(email)
    window.get_by_label("Password").fill(password)
    window.get_by_role("button", name="Create an account").click()


def test_the_door_says_what_this_is(ada: Visitor) -> None:
    expect(ada.open().get_by_text("Postline keeps what you write")).to_be_visible()


def test_the_password_is_shown_while_somebody_wants_it(ada: Visitor) -> None:
    window = ada.open()
    field = window.get_by_label("Password")
    button = window.get_by_role("button", name="Show password")
    field.fill("not this one")
    field.press("Home")

    button.click()

    expect(button).to_have_attribute("aria-pressed", "true")
    expect(field).to_have_attribute("type", "text")
    expect(field).to_be_focused()
    window.keyboard.type("really ")
    expect(field).to_have_value("really not this one")

    button.focus()
    window.keyboard.press("Enter")
    expect(field).to_have_attribute("type", "password")
    expect(button).to_be_focused()
    window.keyboard.press("Space")
    expect(button).to_have_attribute("aria-pressed", "true")

    log_in(window, "nobody@example.com", "not this one")
    expect(window.get_by_text("Email or password is wrong")).to_be_visible()
    expect(field).to_have_attribute("type", "password")
    expect(button).to_have_attribute("aria-pressed", "false")
    ada.forget("status of 401")


@pytest.mark.parametrize(
    ("email", "password", "field", "words"),
    [
        ("ada", PASSWORD, "Email", "An email address must have an @-sign."),
        ("ada@example", PASSWORD, "Email", "The part after the @-sign is not valid. It should have a period."),
        (
            "short@example.com",
            "short",
            "Password",
            "At least 8 characters. Too short: it needs at least 8 characters.",
        ),
    ],
)
def test_what_is_wrong_is_said_in_words_for_people(
    ada: Visitor, email: str, password: str, field: str, words: str
) -> None:
    window = ada.open()
    sign_up(window, email, password)
    expect(window.get_by_label(field)).to_have_accessible_description(words)
    expect(window.get_by_label(field)).to_be_focused()
    ada.forget("status of 400")


def test_who_tries_too_often_reads_why_and_how_long_to_wait(visit: Callable[..., Visitor], tmp_path: Path) -> None:
    with serving(tmp_path, settings={"AUTH_RATE_LIMIT": "1/hour"}) as server:
        ada = visit(server.url)
        window = ada.open()
        log_in(window, "nobody@example.com", PASSWORD)
        expect(window.get_by_text("Email or password is wrong")).to_be_visible()
        window.get_by_role("button", name="Log in").click()
        expect(window.get_by_role("alert")).to_have_text(
            re.compile(r"^Too many attempts in a short time\. Try again in \d+ minutes\.$")
        )
        ada.forget("status of 401", "status of 429")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (500, "Something went wrong in the service. Try again later."),
        (502, "Something went wrong in the service. Try again later."),
        (503, "The service can't answer at the moment. Try again in a minute."),
    ],
)
def test_a_service_in_trouble_is_no_fault_of_the_person(ada: Visitor, status: int, words: str) -> None:
    ada.context.route("**/auth/login", lambda route: route.fulfill(status=status, body="<h1>Bad Gateway</h1>"))
    window = ada.open()
    log_in(window, "nobody@example.com", PASSWORD)
    expect(window.get_by_role("alert")).to_have_text(words)
    ada.forget(f"status of {status}")


def test_a_post_that_is_too_long_is_said_at_its_field(ada: Visitor) -> None:
    window = ada.sign_up("too-long@example.com")
    # Three bytes each: a browser takes seconds to type a million characters.
    write(window, "道" * 400_000)
    expect(window.get_by_label("New post")).to_have_attribute("aria-invalid", "true")
    expect(window.locator("#text-error")).to_have_text("This is too long to be kept. Make it shorter.")
    expect(window.get_by_label("New post")).to_be_focused()
    ada.forget("status of 413")


def test_nothing_is_left_of_a_person_who_logs_out(ada: Visitor) -> None:
    window = ada.sign_up("leaves-nothing@example.com")
    window.get_by_role("button", name="Log out").click()
    expect(window.get_by_role("heading", name="Log in")).to_be_visible()
    assert "leaves-nothing" not in window.evaluate("JSON.stringify({ ...localStorage })")
