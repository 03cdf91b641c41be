"""Addresses in posts, which are links, and long ones, which fit."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor, write
from tests.browser.test_appearance import inspect
from tests.e2e.server import Server

LONG = "https://example.com/" + "a" * 89


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        (
            "See https://example.com/a?b=c&d#e, or HTTP://example.org.",
            ["https://example.com/a?b=c&d#e", "HTTP://example.org"],
        ),
        (
            "(https://en.wikipedia.org/wiki/Post_(disambiguation))",
            ["https://en.wikipedia.org/wiki/Post_(disambiguation)"],
        ),
        ("<a href='https://example.com/\"x'>y</a>", ["https://example.com/"]),
        ("javascript:alert(1) data:text/html,x ftp://example.com mailto:a@example.com", []),
        ("https:// http://[ https://", []),
        ("xhttps://example.com", []),
        ("日本語 https://例え.jp/道。\nhttps://example.com/\n", ["https://例え.jp/道", "https://example.com/"]),
    ],
)
def test_addresses_are_links_and_the_text_stays(
    ada: Visitor, request: pytest.FixtureRequest, text: str, addresses: list[str]
) -> None:
    window = ada.sign_up(f"links-{request.node.callspec.indices['text']}@example.com")

    write(window, text)

    expect(window.locator(".post .text")).to_have_count(1)
    assert window.locator(".post .text").text_content() == text
    links = window.locator(".post .text a")
    assert links.all_text_contents() == addresses
    for link in links.all():
        assert link.get_attribute("rel") == "noopener noreferrer"
        assert link.evaluate("link => link.protocol") in {"http:", "https:"}


@pytest.mark.parametrize("width", [375, 1280])
def test_a_long_address_fits_where_it_is_pasted_shown_and_edited(
    visit: Callable[..., Visitor], server: Server, width: int
) -> None:
    visitor = visit(server.url, viewport={"width": width, "height": 800})
    window = visitor.sign_up(f"long-{width}@example.com")
    window.get_by_label("New post").fill(LONG)
    inspect(window, f"pasted-{width}")

    write(window, LONG)
    expect(window.locator(".post .text a")).to_have_text([LONG])
    inspect(window, f"linked-{width}")

    window.get_by_role("button", name="Edit, post of").click()
    inspect(window, f"edited-{width}")
    window.get_by_role("button", name="Cancel").click()
    window.get_by_role("button", name="Delete, post of").click()
    expect(window.get_by_role("button", name="Undo")).to_be_focused()
    inspect(window, f"deleted-{width}")


def test_a_long_text_is_edited_and_saved_with_its_buttons_in_view(
    visit: Callable[..., Visitor], server: Server
) -> None:
    window = visit(server.url, viewport={"width": 375, "height": 600}).sign_up("tall@example.com")
    write(window, "line\n" * 60)
    window.get_by_role("button", name="Edit, post of").click()
    expect(window.get_by_role("button", name="Save")).to_be_in_viewport()

    window.get_by_role("textbox", name="Text of the post").fill("short")
    window.keyboard.press("Control+Enter")

    expect(window.locator(".post .text")).to_have_text(["short"])
    expect(window.get_by_role("button", name="Edit, post of")).to_be_focused()
