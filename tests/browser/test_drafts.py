"""What somebody has typed and not yet sent: it outlasts the tab, and nobody else ever sees it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import PASSWORD, Visitor, log_in, write
from tests.browser.test_storage import FULL
from tests.e2e.server import Server


def test_a_draft_outlasts_the_tab_until_it_is_posted(ada: Visitor) -> None:
    window = ada.sign_up("drafts@example.com")
    window.get_by_label("New post").fill("half a thought")
    window.close()

    window = ada.open()
    expect(window.get_by_label("New post")).to_have_value("half a thought")
    window.get_by_role("button", name="Post", exact=True).click()
    expect(window.locator(".post .text")).to_have_text(["half a thought"])
    window.close()

    window = ada.open()
    expect(window.locator(".post .text")).to_have_text(["half a thought"])
    expect(window.get_by_label("New post")).to_have_value("")


def test_a_draft_is_gone_at_log_out_in_every_window(ada: Visitor) -> None:
    first = ada.sign_up("leaves-drafts@example.com")
    second = ada.open()
    first.get_by_label("New post").fill("not to be found")
    expect(second.get_by_label("New post")).to_have_value("not to be found")

    first.get_by_role("button", name="Log out").click()

    expect(second.get_by_role("heading", name="Log in")).to_be_visible()
    assert "not to be found" not in second.evaluate("JSON.stringify([localStorage, sessionStorage])")
    log_in(second, "leaves-drafts@example.com", PASSWORD)
    for window in (first, second):
        expect(window.get_by_label("New post")).to_have_value("")


def test_each_account_has_a_draft_of_its_own(ada: Visitor, visit: Callable[..., Visitor], server: Server) -> None:
    visit(server.url).sign_up("other@example.com").close()
    window = ada.sign_up("one@example.com")
    window.get_by_label("New post").fill("of one")
    # The session ends without a log-out, as when it was ended on another device.
    window.evaluate("localStorage.removeItem('postline.session')")
    window.reload()

    log_in(window, "other@example.com", PASSWORD)
    expect(window.get_by_text("Live", exact=True)).to_be_visible()
    expect(window.get_by_label("New post")).to_have_value("")
    window.evaluate("localStorage.removeItem('postline.session')")
    window.reload()
    log_in(window, "one@example.com", PASSWORD)

    expect(window.get_by_label("New post")).to_have_value("of one")


def test_a_draft_that_two_windows_show_is_posted_once(ada: Visitor) -> None:
    first = ada.sign_up("shows-twice@example.com")
    second = ada.open()
    first.get_by_label("New post").fill("once")
    expect(second.get_by_label("New post")).to_have_value("once")

    first.get_by_role("button", name="Post", exact=True).click()

    expect(second.get_by_label("New post")).to_have_value("")
    expect(second.locator(".post .text")).to_have_text(["once"])


def test_storage_that_is_full_keeps_nobody_from_writing(ada: Visitor) -> None:
    ada.context.add_init_script(FULL)
    window = ada.sign_up("full-drafts@example.com")
    write(window, "all the same")
    expect(window.locator(".post .text")).to_have_text(["all the same"])

    window.get_by_label("New post").fill("in this window")
    window.get_by_role("link", name="Account").click()
    window.get_by_role("link", name="Back to your posts").click()

    expect(window.get_by_label("New post")).to_have_value("in this window")


@pytest.mark.parametrize("text", [" ", "\n\n\t ", "\u3000\u00a0"])
def test_a_post_of_only_spaces_is_refused_in_words(ada: Visitor, request: pytest.FixtureRequest, text: str) -> None:
    window = ada.sign_up(f"spaces-{request.node.callspec.indices['text']}@example.com")
    write(window, text)

    field = window.get_by_label("New post")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description("Ctrl + Enter to post Write something: there are only spaces.")
    expect(field).to_be_focused()
    write(window, "words")
    expect(window.locator(".post .text")).to_have_text(["words"])
    window.get_by_role("button", name="Edit, post of").click()
    editor = window.get_by_role("textbox", name="Text of the post")
    editor.fill(text)
    window.get_by_role("button", name="Save").click()
    expect(editor).to_have_attribute("aria-invalid", "true")
    window.keyboard.press("Escape")
    expect(window.locator(".post .text")).to_have_text(["words"])


def test_buttons_say_what_they_are_busy_with(ada: Visitor) -> None:
    window = ada.sign_up("busy@example.com")
    held: list[Route] = []
    ada.context.route(
        "**/posts**", lambda route: route.fallback() if route.request.method == "GET" else held.append(route)
    )

    window.get_by_label("New post").fill("slow")
    window.get_by_label("New post").press("Control+Enter")
    expect(window.get_by_role("button", name="Posting…")).to_be_visible()
    held.pop().continue_()
    expect(window.get_by_role("button", name="Post", exact=True)).to_be_visible()
    window.get_by_role("button", name="Edit, post of").click()
    window.get_by_role("textbox", name="Text of the post").fill("slow, edited")
    window.keyboard.press("Control+Enter")
    expect(window.get_by_text("Saving…")).to_be_visible()
    held.pop().continue_()

    expect(window.locator(".post .text")).to_have_text(["slow, edited"])
    expect(window.get_by_role("button", name="Edit, post of")).to_be_focused()
