"""What the page looks like: readable by everyone, on a phone and on a desk, by day and by night. Pictures are kept."""

from collections.abc import Callable
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import RESULTS, Visitor, write
from tests.e2e.server import Server

POSTS = [
    "https://example.com/" + "nowheretobreak" * 8,
    "A quiet start. Everything here is kept in order, and nothing is lost.",
    "Groceries:\n  · lemons\n  · bread\n  · the good olive oil",
    "Read the paper on time, clocks and the ordering of events again. It gets better with every reading.",
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_every_state_of_the_page_is_accessible_and_fits(
    visit: Callable[..., Visitor], server: Server, scheme: Literal["light", "dark"], width: int
) -> None:
    visitor = visit(server.url, color_scheme=scheme, viewport={"width": width, "height": 800})
    name = f"{width}-{scheme}"
    window = visitor.open()
    inspect(window, f"door-{name}")
    window.get_by_role("button", name="Create an account instead").click()
    window.get_by_label("Email").fill("a@example")
    window.get_by_label("Password").fill("password1")
    window.get_by_role("button", name="Create an account").click()
    expect(window.get_by_text("This password is too common")).to_be_visible()
    inspect(window, f"refused-{name}")
    visitor.forget("status of 400")

    window = visitor.sign_up(f"ada-{name}@example.com")
    inspect(window, f"empty-{name}")
    for text in POSTS:
        write(window, text)
        expect(window.locator(".post .text").first).to_have_text(text)
    inspect(window, f"posts-{name}")
    window.get_by_role("button", name="Edit, post of").nth(1).click()
    inspect(window, f"editing-{name}")
    window.get_by_role("button", name="Delete, post of").first.click()
    inspect(window, f"deleting-{name}")


def inspect(window: Page, name: str) -> None:
    window.screenshot(path=RESULTS / f"{name}.png", full_page=True)
    found = Axe().run(window).response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
    assert window.evaluate("document.documentElement.scrollWidth") <= window.evaluate("innerWidth")
