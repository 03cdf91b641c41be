"""The page on a network as slow as a phone's at the edge of a town: it says what is under way, and does it once."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PASSWORD, Visitor, pass_ten_seconds, person_in
from tests.e2e.server import Server

# What Chromium's developer tools call "Slow 3G", in milliseconds and bytes a second.
SLOW = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
# Notes every text that a person sees of what is under way, however short it is there.
LISTEN = """{
    globalThis.said = new Set();
    new MutationObserver(() => {
        for (const element of document.querySelectorAll("button, #loading, #found, .deleted")) {
            if (element.checkVisibility()) said.add(element.textContent);
        }
        if (document.querySelector(".skeleton")?.checkVisibility()) said.add("skeleton");
    }).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
    // It would load the page's files a second time.
    delete Navigator.prototype.serviceWorker;
}"""


@pytest.fixture
def slow(ada: Visitor) -> Page:
    """A window on a slow network, which shows the door."""
    ada.context.add_init_script(LISTEN)
    window = ada.context.new_page()
    devtools = ada.context.new_cdp_session(window)
    devtools.send("Network.enable")
    devtools.send("Network.emulateNetworkConditions", SLOW)
    window.goto(ada.url)
    return window


def sign_up(window: Page, email: str) -> None:
    window.get_by_role("button", name="Create an account instead").click()
    window.get_by_label("Email").fill(email)
    window.get_by_label("Password").fill(PASSWORD)
    press_twice(window, "Enter")


def press_twice(window: Page, key: str) -> None:
    """Press as somebody does who sees nothing happen."""
    for _ in range(2):
        window.keyboard.press(key)


def test_on_a_slow_network_each_step_says_what_is_under_way_and_happens_once(slow: Page, server: Server) -> None:
    sent: list[str] = []
    slow.on("request", lambda request: sent.append(request.method) if request.method != "GET" else None)

    sign_up(slow, "slow@example.com")
    field = slow.get_by_label("New post")
    # Whether the list is there or not.
    field.fill("one")
    press_twice(slow, "Control+Enter")
    expect(slow.get_by_text("Posted.")).to_be_visible()
    expect(slow.locator(".post .text")).to_have_text(["one"])
    field.fill("two")
    press_twice(slow, "Control+Enter")
    expect(slow.locator(".post .text")).to_have_text(["two", "one"])
    assert said(slow) >= {"Creating the account…", "Your posts are being read…", "skeleton", "Posting…"}
    expect(slow.locator(".skeleton")).to_be_hidden()
    assert sent == ["POST"] * 3

    search = slow.get_by_role("searchbox", name="Search your posts")
    search.fill("o")
    search.press("Enter")
    search.fill("one")
    search.press("Enter")
    expect(slow.get_by_text("1 post found.")).to_be_visible()
    expect(slow.locator(".post .text")).to_have_text(["one"])
    search.press("Escape")
    expect(slow.locator(".post .text")).to_have_text(["two", "one"])

    slow.get_by_role("button", name="Edit, post of").first.click()
    slow.get_by_role("textbox", name="Text of the post").fill("two, edited")
    press_twice(slow, "Control+Enter")
    expect(slow.get_by_text("Saved.")).to_be_visible()
    expect(slow.locator(".post .text")).to_have_text(["two, edited", "one"])

    slow.get_by_role("button", name="Delete, post of").first.dblclick()
    expect(slow.get_by_role("button", name="Undo")).to_be_visible()
    pass_ten_seconds(slow)
    # It is gone for the person before the service has answered.
    expect(slow.locator(".post .text:visible")).to_have_text(["one"])
    expect(slow.locator(".post")).to_have_count(1)
    assert said(slow) >= {"Searching…", "Saving…", "Post deleted. Undo"}
    assert sent == ["POST"] * 3 + ["PATCH", "DELETE"]
    assert [post["text"] for post in person_in(slow, server).list()] == ["one"]


def test_on_a_slow_network_nothing_that_was_typed_is_lost(slow: Page, server: Server) -> None:
    sign_up(slow, "loses-nothing@example.com")
    field = slow.get_by_label("New post")
    field.fill("first")
    press_twice(slow, "Control+Enter")
    # The field takes it when the first is stored.
    field.fill("second")
    expect(slow.locator(".post .text")).to_have_text(["first"])
    slow.get_by_role("button", name="Edit, post of").click()
    slow.get_by_role("textbox", name="Text of the post").fill("first, edited")

    slow.reload()

    expect(slow.get_by_role("textbox", name="Text of the post")).to_have_value("first, edited")
    expect(field).to_have_value("second")
    assert [post["text"] for post in person_in(slow, server).list()] == ["first"]


def said(window: Page) -> set[str]:
    return set(window.evaluate("[...said]"))
