"""Deleting a post, which can be undone for ten seconds."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import PASSWORD, Visitor, pass_ten_seconds, person_in
from tests.browser.test_storage import AHEAD
from tests.e2e.server import Client, Server


def filled(visitor: Visitor, server: Server, email: str, *texts: str) -> tuple[Page, Client]:
    """Return a window with these posts, the first at the top, and their author."""
    window = visitor.sign_up(email)
    author = person_in(window, server)
    for text in reversed(texts):
        author.add(text)
    expect(window.locator(".post .text")).to_have_text(texts)
    return window, author


def click_delete(window: Page, text: str) -> None:
    window.get_by_role("button", name="Delete, post of").and_(window.get_by_role("button", name=text)).click()


def stored(author: Client) -> list[str]:
    return [post["text"] for post in author.list()]


def shown(window: Page, *texts: str) -> None:
    expect(window.locator(".post .text").filter(visible=True)).to_have_text(texts)


def test_a_deletion_is_sent_after_ten_seconds_and_not_before(ada: Visitor, server: Server) -> None:
    window, author = filled(ada, server, "ten-seconds@example.com", "one", "two", "three")

    click_delete(window, "two")
    shown(window, "one", "three")
    undo = window.get_by_role("button", name="Undo, deleted post of")
    expect(undo).to_be_focused()
    assert stored(author) == ["one", "two", "three"]

    with window.expect_response(lambda response: response.request.method == "DELETE"):
        pass_ten_seconds(window)
    expect(window.locator(".post")).to_have_count(2)
    expect(undo).to_have_count(0)
    assert stored(author) == ["one", "three"]
    # The next post has the focus.
    expect(window.get_by_role("button", name="Edit, post of").last).to_be_focused()


def test_undo_brings_the_post_back_and_nothing_is_sent(ada: Visitor, server: Server) -> None:
    window, author = filled(ada, server, "undoes@example.com", "one", "two")
    click_delete(window, "one")
    shown(window, "two")

    window.keyboard.press("Enter")

    shown(window, "one", "two")
    expect(window.get_by_role("button", name="Delete, post of").first).to_be_focused()
    pass_ten_seconds(window)
    shown(window, "one", "two")
    assert stored(author) == ["one", "two"]


def test_a_second_deletion_sends_the_first(ada: Visitor, server: Server) -> None:
    window, author = filled(ada, server, "second@example.com", "one", "two", "three")
    click_delete(window, "one")

    with window.expect_response(lambda response: response.request.method == "DELETE"):
        click_delete(window, "two")

    expect(window.get_by_role("button", name="Undo")).to_have_count(1)
    window.get_by_role("button", name="Undo").click()
    shown(window, "two", "three")
    assert stored(author) == ["two", "three"]


def test_a_double_click_deletes_one_post(ada: Visitor, server: Server) -> None:
    window, author = filled(ada, server, "double@example.com", "one", "two")

    window.get_by_role("button", name="Delete, post of").first.dblclick()

    shown(window, "two")
    expect(window.get_by_role("button", name="Undo")).to_have_count(1)
    assert stored(author) == ["one", "two"]


def leave_the_view(window: Page) -> None:
    window.get_by_role("link", name="Account").click()
    expect(window.get_by_role("heading", name="Your account")).to_be_visible()


def search(window: Page) -> None:
    window.get_by_role("searchbox", name="Search your posts").fill("two")


def log_out(window: Page) -> None:
    window.get_by_role("button", name="Log out").click()
    expect(window.get_by_role("heading", name="Log in")).to_be_visible()


def close(window: Page) -> None:
    window.close(run_before_unload=True)


def reload(window: Page) -> None:
    window.reload()


@pytest.mark.parametrize("leave", [leave_the_view, search, log_out, close, reload])
def test_what_ends_the_view_sends_the_deletion(ada: Visitor, server: Server, leave: Callable[[Page], None]) -> None:
    window, author = filled(ada, server, f"{leave.__name__}@example.com", "one", "two")
    other = ada.open()
    expect(other.locator(".post .text")).to_have_text(["one", "two"])
    # Its session is not the one that ends.
    author = Client(server.url, author.email, log_in(server, author.email)) if leave is log_out else author
    window.bring_to_front()
    click_delete(window, "one")

    leave(window)

    if leave is log_out:
        assert stored(author) == ["two"]
    else:
        expect(other.locator(".post .text")).to_have_text(["two"])
        assert stored(author) == ["two"]


def test_tokens_that_fall_due_within_the_ten_seconds_do_not_keep_a_deletion_from_being_sent(
    ada: Visitor, server: Server
) -> None:
    ada.context.add_init_script(AHEAD)
    window, author = filled(ada, server, "falls-due@example.com", "one", "two")
    other = ada.open()
    expect(other.locator(".post .text")).to_have_text(["one", "two"])
    window.bring_to_front()
    # They live for 900 seconds, and are refreshed after nine tenths of that.
    window.evaluate("advance(805_000)")

    with window.expect_response("**/auth/refresh"):
        click_delete(window, "one")
    window.evaluate("advance(9_000)")
    close(window)

    expect(other.locator(".post .text")).to_have_text(["two"])
    assert stored(author) == ["two"]


def test_a_page_that_closes_sends_the_deletion_before_the_tokens_are_refreshed(ada: Visitor, server: Server) -> None:
    ada.context.add_init_script(AHEAD)
    window, author = filled(ada, server, "closes-at-once@example.com", "one", "two")
    other = ada.open()
    expect(other.locator(".post .text")).to_have_text(["one", "two"])
    window.bring_to_front()
    held: list[Route] = []
    window.route("**/auth/refresh", lambda route: held.append(route))  # noqa: PLW0108 - Playwright reads its signature
    window.evaluate("advance(820_000)")
    with window.expect_request("**/auth/refresh"):
        click_delete(window, "one")

    close(window)

    expect(other.locator(".post .text")).to_have_text(["two"])
    assert stored(author) == ["two"]
    ada.forget("net::")


def log_in(server: Server, email: str) -> dict[str, str]:
    answer = server.http.post(f"{server.url}/auth/login", json={"email": email, "password": PASSWORD})
    tokens: dict[str, str] = answer.json()
    return tokens


def test_a_post_that_was_changed_elsewhere_meanwhile_is_not_deleted(ada: Visitor, server: Server) -> None:
    window, author = filled(ada, server, "changed-meanwhile@example.com", "one", "two")
    click_delete(window, "one")
    post_id = author.list()[0]["postID"]
    assert author.request("PATCH", f"/posts/{post_id}", json={"text": "one, edited"}).status_code == 200

    pass_ten_seconds(window)

    shown(window, "one, edited", "two")
    expect(window.get_by_text("Not deleted: the post was changed elsewhere.")).to_be_visible()
    ada.forget("status of 412")


def test_a_deletion_that_reaches_nobody_brings_the_post_back(ada: Visitor, server: Server) -> None:
    window, author = filled(ada, server, "unreachable@example.com", "one", "two")
    click_delete(window, "one")
    ada.context.route(
        "**/posts/*", lambda route: route.abort() if route.request.method == "DELETE" else route.fallback()
    )

    pass_ten_seconds(window)

    shown(window, "one", "two")
    expect(window.get_by_text("The service can't be reached.")).to_be_visible()
    assert stored(author) == ["one", "two"]
    ada.forget("net::ERR_FAILED")


def test_the_last_post_that_goes_leaves_the_focus_at_the_new_one(ada: Visitor, server: Server) -> None:
    window, _ = filled(ada, server, "last-one@example.com", "only")
    click_delete(window, "only")

    pass_ten_seconds(window)

    expect(window.get_by_text("You have no posts yet")).to_be_visible()
    expect(window.get_by_label("New post")).to_be_focused()
