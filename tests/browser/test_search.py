"""The search in the timeline, as a person types it."""

import re
from collections.abc import Callable
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor, person_in, write
from tests.browser.test_appearance import inspect
from tests.e2e.server import Server


def fill(window: Page, server: Server, *texts: str) -> None:
    person = person_in(window, server)
    for text in texts:
        person.add(text)
    expect(window.locator(".post .text").first).to_have_text(texts[-1])


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_person_finds_posts_as_they_type(
    visit: Callable[..., Visitor], server: Server, scheme: Literal["light", "dark"], width: int
) -> None:
    visitor = visit(server.url, color_scheme=scheme, viewport={"width": width, "height": 800})
    window = visitor.sign_up(f"searches-{width}-{scheme}@example.com")
    fill(window, server, "Straße in Rom", "bread & olives", "more bread")
    field = window.get_by_role("searchbox", name="Search your posts")
    shown = window.locator(".post .text")

    field.press_sequentially("BREAD")
    expect(shown).to_have_text(["more bread", "bread & olives"])
    expect(window.get_by_text("2 posts found.")).to_be_visible()
    expect(window).to_have_url(f"{server.url}/#q=BREAD")
    expect(field).to_be_focused()
    inspect(window, f"search-{width}-{scheme}")

    field.fill("strasse")
    expect(shown).to_have_text(["Straße in Rom"])
    field.fill("& ol")
    expect(shown).to_have_text(["bread & olives"])
    field.fill("nowhere")
    expect(window.get_by_text("Nothing found.")).to_be_visible()
    expect(shown).to_have_count(0)
    inspect(window, f"search-nothing-{width}-{scheme}")

    window.get_by_role("button", name="Clear the search").click()
    expect(shown).to_have_text(["more bread", "bread & olives", "Straße in Rom"])
    expect(field).to_be_focused()
    expect(window.get_by_text("Nothing found.")).to_have_count(0)
    expect(window).to_have_url(f"{server.url}/")


def test_the_address_opens_the_search_and_the_account_is_reached_from_it(ada: Visitor, server: Server) -> None:
    window = ada.sign_up("bookmark@example.com")
    fill(window, server, "100% sure", "not so")
    again = ada.open("/#q=100%25")
    shown = again.locator(".post .text")
    expect(shown).to_have_text(["100% sure"])
    field = again.get_by_role("searchbox", name="Search your posts")
    expect(field).to_have_value("100%")
    expect(field).to_be_focused()

    again.get_by_role("link", name="Account").click()
    expect(again.get_by_role("heading", name="Your account")).to_be_visible()
    again.go_back()
    expect(field).to_have_value("100%")
    expect(shown).to_have_text(["100% sure"])
    again.evaluate("location.hash = '#q=so'")
    expect(shown).to_have_text(["not so"])
    again.get_by_role("button", name="Log out").click()
    expect(again.get_by_role("heading", name="Log in")).to_be_visible()
    assert again.url == f"{server.url}/"


def test_an_answer_that_comes_too_late_is_not_shown(ada: Visitor, server: Server) -> None:
    window = ada.sign_up("late@example.com")
    fill(window, server, "alpha", "beta")
    ada.context.route(re.compile("q=alpha"), lambda _: None)
    field = window.get_by_role("searchbox", name="Search your posts")
    with window.expect_request(lambda request: "q=alpha" in request.url):
        field.fill("alpha")

    field.fill("beta")

    # Lists are read one at a time, so this one waits for the other unless that is cancelled.
    expect(window.locator(".post .text")).to_have_text(["beta"])
    expect(window.get_by_text("1 post found.")).to_be_visible()


def test_what_is_found_is_kept_up_to_date_and_a_new_post_ends_the_search(ada: Visitor, server: Server) -> None:
    window = ada.sign_up("follows@example.com")
    fill(window, server, "red", "blue")
    window.get_by_role("searchbox", name="Search your posts").fill("re")
    shown = window.locator(".post .text")
    expect(shown).to_have_text(["red"])

    person_in(window, server).add("green")
    expect(shown).to_have_text(["green", "red"])
    write(window, "yellow")

    expect(shown).to_have_text(["yellow", "green", "blue", "red"])
    expect(window.get_by_role("searchbox", name="Search your posts")).to_have_value("")
    assert window.url == f"{server.url}/"
