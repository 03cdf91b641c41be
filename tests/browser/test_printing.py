"""The timeline on paper: all of each post, and no controls."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor, person_in, write
from tests.e2e.server import Server

LINES = "\n".join(f"line {number}" for number in range(1_000))


def count_pages(window: Page) -> int:
    """Print, and return the number of pages."""
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", window.pdf()))


def test_a_long_post_is_printed_whole_and_cut_again_afterwards(ada: Visitor) -> None:
    window = ada.sign_up("prints-long@example.com")
    write(window, LINES)
    text = window.locator(".post .text")
    expect(text).to_contain_text("line 19…")
    window.evaluate("""addEventListener("beforeprint", () => {
        globalThis.printed = document.querySelector(".post .text").textContent;
    })""")

    # No paper has a hundred lines on a page.
    assert count_pages(window) > 10

    assert window.evaluate("printed") == LINES
    expect(text).to_contain_text("line 19…")
    expect(text).not_to_contain_text("line 20")
    window.get_by_role("button", name="Show all, post of").click()
    assert count_pages(window) > 10
    expect(text).to_have_text(LINES)


def test_posts_out_of_sight_are_printed(ada: Visitor, server: Server) -> None:
    window = ada.sign_up("out-of-sight-printed@example.com")
    operations = [{"op": "create", "text": f"https://example.com/{number}."} for number in range(100)]
    person_in(window, server).request("POST", "/posts/batch", json={"operations": operations})
    expect(window.locator(".post")).to_have_count(100)

    # A PDF has addresses as they are, and texts compressed.
    addresses = set(re.findall(rb"https://example\.com/(\d+)", window.pdf()))

    assert addresses == {str(number).encode() for number in range(100)}


@pytest.mark.parametrize("action", ["Edit", "Delete"])
def test_a_post_that_is_being_edited_is_printed_and_one_that_is_being_deleted_is_not(ada: Visitor, action: str) -> None:
    window = ada.sign_up(f"{action}-printed@example.com")
    write(window, "on paper")
    window.get_by_role("button", name=f"{action}, post of").click()

    window.emulate_media(media="print")

    expect(window.locator(".post .text")).to_be_visible(visible=action == "Edit")
    expect(window.locator("button:visible, form:visible")).to_have_count(0)
