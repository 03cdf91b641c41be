"""An edit that somebody has begun and not saved: it outlasts the tab, and what became of its post is said."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import (
    NEVER_NEAR,
    PASSWORD,
    Visitor,
    log_in,
    pass_ten_seconds,
    person_in,
    texts,
    wait_until,
)
from tests.browser.test_appearance import inspect
from tests.browser.test_storage import FULL
from tests.e2e.server import Client, Server


def editor(window: Page) -> Locator:
    return window.get_by_role("textbox", name="Text of the post")


def begin(visitor: Visitor, server: Server, email: str, text: str, edit: str) -> tuple[Page, Client, str]:
    """Return a window in which somebody edits their one post, their client and the post's id."""
    window = visitor.sign_up(email)
    author = person_in(window, server)
    post_id = author.add(text)
    window.get_by_role("button", name="Edit, post of").click()
    editor(window).fill(edit)
    return window, author, post_id


def kept(window: Page) -> list[str]:
    """Return the keys of the edits that the browser keeps."""
    keys: list[str] = window.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('postline.edit.'))")
    return keys


def test_an_edit_outlasts_the_tab_until_it_is_saved(ada: Visitor, server: Server) -> None:
    window, author, _ = begin(ada, server, "edits@example.com", "first", "first, and half a thought")
    window.close()

    window = ada.open()
    expect(editor(window)).to_have_value("first, and half a thought")
    expect(window.get_by_text("Not saved yet: your edit of the post of")).to_be_visible()
    expect(window.get_by_text("An edit that was not saved is open again.")).to_be_visible()
    expect(window.get_by_label("New post")).to_be_focused()
    assert author.list()[0]["text"] == "first"
    window.get_by_role("button", name="Save, post of").click()
    expect(window.locator(".post .text")).to_have_text(["first, and half a thought"])
    assert kept(window) == []
    window.reload()
    expect(window.locator(".post .text")).to_have_text(["first, and half a thought"])
    expect(editor(window)).to_have_count(0)


@pytest.mark.parametrize("way", ["Escape", "Cancel", "typed back"])
def test_an_edit_that_somebody_left_does_not_return(ada: Visitor, server: Server, way: str) -> None:
    window, _, _ = begin(ada, server, f"{way.replace(' ', '-')}@example.com", "stays", "unwanted")
    assert len(kept(window)) == 1
    if way == "Escape":
        window.keyboard.press("Escape")
    elif way == "Cancel":
        window.get_by_role("button", name="Cancel").click()
    else:
        editor(window).fill("stays")
    assert kept(window) == []

    window.reload()

    expect(window.locator(".post .text")).to_have_text(["stays"])
    expect(editor(window)).to_have_count(0)


def test_edits_are_gone_at_log_out_in_every_window(ada: Visitor, server: Server) -> None:
    first, _, _ = begin(ada, server, "leaves-edits@example.com", "stays", "not to be found")
    second = ada.open()
    expect(editor(second)).to_have_value("not to be found")

    second.get_by_role("button", name="Log out").click()

    expect(first.get_by_role("heading", name="Log in")).to_be_visible()
    assert "not to be found" not in first.evaluate("JSON.stringify([localStorage, sessionStorage])")
    log_in(first, "leaves-edits@example.com", PASSWORD)
    expect(first.locator(".post .text")).to_have_text(["stays"])
    expect(editor(first)).to_have_count(0)


def test_each_account_has_edits_of_its_own(ada: Visitor, server: Server) -> None:
    # The address of one is the beginning of the other's.
    Client.sign_up(server.url, "own@example.com.au").add("of the other")
    window, _, _ = begin(ada, server, "own@example.com", "of one", "of one, edited")
    # The session ends without a log-out, as when it was ended on another device.
    window.evaluate("localStorage.removeItem('postline.session')")
    window.reload()
    log_in(window, "own@example.com.au", PASSWORD)
    expect(window.locator(".post .text")).to_have_text(["of the other"])
    expect(editor(window)).to_have_count(0)
    window.get_by_role("button", name="Log out").click()

    log_in(window, "own@example.com", PASSWORD)

    expect(editor(window)).to_have_value("of one, edited")


def test_an_edit_of_a_post_that_was_changed_meanwhile_replaces_nothing_unseen(ada: Visitor, server: Server) -> None:
    window, author, post_id = begin(ada, server, "changed-since@example.com", "first", "mine")
    window.close()
    assert author.request("PATCH", f"/posts/{post_id}", json={"text": "from elsewhere"}).status_code == 200

    window = ada.open()
    expect(window.get_by_role("alert").filter(has_text="changed elsewhere since you began")).to_be_visible()
    expect(window.get_by_text("from elsewhere")).to_be_visible()
    expect(editor(window)).to_have_value("mine")
    inspect(window, "unsaved-edit-changed")
    # What comes while it is open is not replaced either.
    assert author.request("PATCH", f"/posts/{post_id}", json={"text": "once more"}).status_code == 200
    expect(window.get_by_text("once more")).to_be_visible()
    window.get_by_role("button", name="Save, post of").click()
    expect(window.get_by_role("alert").filter(has_text="Save again to replace it")).to_be_visible()
    assert author.list()[0]["text"] == "once more"
    window.get_by_role("button", name="Save, post of").click()
    expect(window.get_by_text("Saved.")).to_be_visible()
    assert author.list()[0]["text"] == "mine"
    ada.forget("status of 412")


def test_an_edit_of_a_post_that_was_deleted_meanwhile_can_be_posted_as_a_new_one(ada: Visitor, server: Server) -> None:
    window, author, post_id = begin(ada, server, "deleted-since@example.com", "first", "a long thought")
    window.close()
    assert author.request("DELETE", f"/posts/{post_id}").status_code == 204

    window = ada.open()
    expect(window.get_by_role("alert").filter(has_text="This post was deleted elsewhere")).to_be_visible()
    expect(editor(window)).to_have_value("a long thought")
    inspect(window, "unsaved-edit-deleted")
    window.get_by_role("button", name="Post as a new one").click()

    expect(window.locator(".post .text:visible")).to_have_text(["a long thought"])
    expect(editor(window)).to_have_count(0)
    assert [post["text"] for post in author.list()] == ["a long thought"]
    assert kept(window) == []
    ada.forget("status of 404")


def test_a_post_that_is_found_deleted_when_it_is_saved_can_be_posted_as_a_new_one(ada: Visitor, server: Server) -> None:
    window, author, post_id = begin(ada, server, "deleted-now@example.com", "first", "a long thought")
    assert author.request("DELETE", f"/posts/{post_id}").status_code == 204
    expect(window.get_by_role("alert").filter(has_text="may be deleted")).to_be_visible()

    window.get_by_role("button", name="Save, post of").click()
    expect(window.get_by_role("alert").filter(has_text="This post was deleted elsewhere")).to_be_visible()
    window.get_by_role("button", name="Post as a new one").click()

    expect(window.locator(".post .text:visible")).to_have_text(["a long thought"])
    assert len(author.list()) == 1
    ada.forget("status of 404")


def test_an_edit_of_a_post_further_down_opens_above_the_list(ada: Visitor, server: Server) -> None:
    ada.context.add_init_script(NEVER_NEAR)
    window = ada.sign_up("further-down@example.com")
    author = person_in(window, server)
    for number in range(25):
        author.add(f"post {number}")
    window.reload()
    window.get_by_role("button", name="Show more").click()
    expect(window.locator(".post")).to_have_count(25)
    window.get_by_role("button", name="Edit, post of").last.click()
    editor(window).fill("post 0, edited")
    window.close()

    window = ada.open()
    apart = window.get_by_role("list", name="Edits that are not saved")
    expect(apart.get_by_role("textbox")).to_have_value("post 0, edited")
    inspect(window, "unsaved-edit-above")
    window.get_by_role("button", name="Show more").click()
    expect(window.locator(".post")).to_have_count(25)
    # It has moved to its place.
    expect(window.locator(".day").last.get_by_role("textbox")).to_have_value("post 0, edited")
    window.reload()
    expect(apart.get_by_role("textbox")).to_have_value("post 0, edited")
    author.request("PATCH", f"/posts/{author.list()[-1]['postID']}", json={"text": "post 0, from elsewhere"})
    window.get_by_role("button", name="Save, post of").click()
    expect(apart.get_by_role("alert").filter(has_text="changed elsewhere")).to_be_visible()
    window.get_by_role("button", name="Save, post of").click()

    expect(window.get_by_text("Saved.")).to_be_visible()
    expect(apart.get_by_role("listitem")).to_have_count(0)
    expect(window.locator(".post")).to_have_count(20)
    assert author.list()[-1]["text"] == "post 0, edited"
    ada.forget("status of 412")


def test_an_edit_that_was_saved_and_whose_answer_was_lost_does_not_return(ada: Visitor, server: Server) -> None:
    window, author, _ = begin(ada, server, "lost-answer@example.com", "first", "saved")

    def lose_the_answer(route: Route) -> None:
        if route.request.method != "PATCH":
            route.fallback()
            return
        assert route.fetch().status == 200
        route.abort()

    ada.context.route("**/posts/*", lose_the_answer)
    with window.expect_event("requestfailed"):
        window.get_by_role("button", name="Save, post of").click()
    window.reload()

    expect(window.locator(".post .text")).to_have_text(["saved"])
    expect(editor(window)).to_have_count(0)
    assert kept(window) == []
    assert author.list()[0]["text"] == "saved"
    ada.forget("net::ERR_FAILED")


def test_what_another_window_does_to_a_post_keeps_the_edit(ada: Visitor, server: Server) -> None:
    first, _, _ = begin(ada, server, "two-edits@example.com", "first", "from the first")
    second = ada.open()
    editor(second).fill("from the second")
    second.get_by_role("button", name="Save, post of").click()
    expect(second.locator(".post .text")).to_have_text(["from the second"])
    expect(second.get_by_text("Saved.")).to_be_visible()
    expect(first.locator(".post .text")).to_have_text(["from the second"])
    # Whatever the other one forgets, and whenever.
    second.evaluate(
        "Object.keys(localStorage).filter((key) => key.includes('.edit.')).map((key) => localStorage.removeItem(key))"
    )
    wait_until(second, "() => Object.values(localStorage).some((value) => value.includes('from the first'))")
    first.close()

    window = ada.open()

    expect(editor(window)).to_have_value("from the first")
    expect(window.get_by_role("alert").filter(has_text="changed elsewhere since you began")).to_be_visible()


def test_an_edit_that_two_windows_show_is_saved_in_one_and_closed_in_the_other(ada: Visitor, server: Server) -> None:
    first, author, _ = begin(ada, server, "shown-twice@example.com", "first", "edited")
    second = ada.open()
    expect(editor(second)).to_have_value("edited")
    second.get_by_label("New post").press_sequentially("meanwhile")
    first.bring_to_front()
    first.get_by_role("button", name="Save, post of").click()

    expect(second.locator(".post .text:visible")).to_have_text(["edited"])
    expect(editor(second)).to_have_count(0)
    expect(second.get_by_label("New post")).to_be_focused()
    assert kept(second) == []
    assert [post["text"] for post in author.list()] == ["edited"]


def test_full_storage_keeps_nobody_from_editing(visit: Callable[..., Visitor], server: Server) -> None:
    visitor = visit(server.url)
    visitor.context.add_init_script(FULL)
    window = visitor.sign_up("full-edits@example.com")
    window.get_by_label("New post").fill("first")
    window.get_by_role("button", name="Post", exact=True).click()
    window.get_by_role("button", name="Edit, post of").click()
    editor(window).fill("edited")
    window.get_by_role("button", name="Save, post of").click()

    expect(window.locator(".post .text")).to_have_text(["edited"])
    window.get_by_role("button", name="Delete, post of").click()
    pass_ten_seconds(window)
    expect(window.locator(".post")).to_have_count(0)
    assert texts(window) == []
