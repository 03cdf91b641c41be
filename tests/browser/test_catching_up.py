"""The page after a time without the feed: it asks what changed, and reads the list again only where it must."""

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NEVER_NEAR, Visitor, person_in, texts
from tests.e2e.server import Client, Server

# What Chromium says of a request that got no answer.
_NO_ANSWER = "Failed to load resource: net::"


class Reads:
    """The requests for posts that a window gets answered from now on, without their version."""

    def __init__(self, window: Page) -> None:
        self.paths: list[str] = []
        # While there is no network, the page tries in vain, more or less often.
        window.on("response", lambda response: self._note(response.url))

    def _note(self, url: str) -> None:
        found = re.search(r"/posts(\?.*|/changes)", url)
        if found:
            self.paths.append(found[0].split("since=")[0])


def away(visitor: Visitor, window: Page, work: Callable[[], object]) -> Reads:
    """Do this while the network is gone, and return what the window reads when it is back."""
    visitor.context.set_offline(True)
    expect(window.get_by_text("Offline. Reconnecting…")).to_be_visible()
    work()
    reads = Reads(window)
    visitor.context.set_offline(False)
    expect(window.get_by_text("Live", exact=True)).to_be_visible()
    visitor.forget(_NO_ANSWER)
    return reads


def filled(visitor: Visitor, server: Server, email: str, count: int) -> tuple[Page, Client, list[str]]:
    """Return a window that shows the newest of so many posts, their author, and all their ids."""
    window = visitor.sign_up(email)
    author = person_in(window, server)
    ids = [author.add(f"post {number}") for number in range(count)]
    window.reload()
    expect(window.get_by_text("Live", exact=True)).to_be_visible()
    expect(window.locator(".post .text").first).to_have_text(f"post {count - 1}")
    return window, author, ids


def edit(author: Client, post_id: str, text: str) -> None:
    assert author.request("PATCH", f"/posts/{post_id}", json={"text": text}).status_code == 200


def delete(author: Client, post_id: str) -> None:
    assert author.request("DELETE", f"/posts/{post_id}").status_code == 204


def test_a_window_that_was_offline_catches_up_with_one_request(ada: Visitor, server: Server) -> None:
    window, author, ids = filled(ada, server, "catches-up@example.com", 3)

    def change() -> None:
        edit(author, ids[0], "post 0, edited")
        delete(author, ids[1])
        author.add("post 3")
        delete(author, author.add("soon gone"))
        author.add("post 4")

    reads = away(ada, window, change)

    assert texts(window) == ["post 4", "post 3", "post 2", "post 0, edited"]
    assert reads.paths == ["/posts/changes"]


def test_a_window_that_missed_nothing_changes_nothing(ada: Visitor, server: Server) -> None:
    window, _, _ = filled(ada, server, "missed-nothing@example.com", 2)
    window.locator(".post .text").first.evaluate("text => { text.dataset.kept = 'yes'; }")

    reads = away(ada, window, lambda: None)

    assert reads.paths == ["/posts/changes"]
    expect(window.locator("[data-kept]")).to_have_text("post 1")


@pytest.mark.parametrize("is_edited_of_a_page_that_was_not_read", [False, True])
def test_pages_that_were_not_read_stay_right(
    ada: Visitor, server: Server, *, is_edited_of_a_page_that_was_not_read: bool
) -> None:
    ada.context.add_init_script(NEVER_NEAR)
    window, author, ids = filled(ada, server, f"pages-{is_edited_of_a_page_that_was_not_read}@example.com", 45)

    def change() -> None:
        delete(author, ids[44])
        delete(author, ids[10])
        author.add("post 45")
        if is_edited_of_a_page_that_was_not_read:
            edit(author, ids[5], "post 5, edited")

    reads = away(ada, window, change)

    assert texts(window)[:2] == ["post 45", "post 43"]
    assert reads.paths[0] == "/posts/changes"
    # Where an edited post stands in the list, only the list tells.
    assert (len(reads.paths) > 1) is is_edited_of_a_page_that_was_not_read
    shown = window.locator(".post")
    for expected in (40, 44):
        window.get_by_role("button", name="Show more").click()
        expect(shown).to_have_count(expected)
    assert texts(window) == [post["text"] for post in author.list()]


def test_posts_that_were_edited_before_they_were_imported_stand_where_the_list_has_them(
    ada: Visitor, server: Server
) -> None:
    window, author, _ = filled(ada, server, "imported@example.com", 2)
    old = {
        "postID": "01a20544-8f6d-7250-9b81-05646f62c3bb",
        "text": "of long ago",
        "created_at": "2020-01-01T00:00:00Z",
        "updated_at": "2020-01-02T00:00:00Z",
        "version": 3,
    }

    imported = author.request(
        "POST", "/me/import", content=f"{json.dumps(old)}\n", headers={"content-type": "application/x-ndjson"}
    )

    assert imported.status_code == 200, imported.text
    expect(window.locator(".post .text")).to_have_text(["of long ago", "post 1", "post 0"])
    assert texts(window) == [post["text"] for post in author.list()]


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (410, {"type": "urn:problem-type:postline:history-not-kept", "detail": "Gone.", "version": 3}),
        (200, {"version": 2, "changes": [], "has_more": True}),
    ],
)
def test_where_the_changes_are_not_kept_or_are_too_many_the_list_is_read_again(
    ada: Visitor, server: Server, status: int, answer: dict[str, object]
) -> None:
    window, author, _ = filled(ada, server, f"again-{status}@example.com", 2)
    ada.context.route("**/posts/changes?*", lambda route: route.fulfill(status=status, json=answer))

    reads = away(ada, window, lambda: author.add("post 2"))

    assert texts(window) == ["post 2", "post 1", "post 0"]
    assert reads.paths == ["/posts/changes", "/posts?limit=20"]
    ada.forget("status of 410")


def test_a_search_that_was_offline_finds_what_is_new(ada: Visitor, server: Server) -> None:
    window, author, ids = filled(ada, server, "searches-offline@example.com", 3)
    window.get_by_role("searchbox", name="Search your posts").fill("POST")
    expect(window.get_by_text("3 posts found.")).to_be_visible()

    def change() -> None:
        author.add("another post")
        author.add("something else")
        edit(author, ids[2], "nothing")

    away(ada, window, change)

    assert texts(window) == ["another post", "post 1", "post 0"]
    window.get_by_role("button", name="Clear the search").click()
    expect(window.locator(".post")).to_have_count(5)
    assert texts(window) == [post["text"] for post in author.list()]


def test_two_windows_that_change_the_same_posts_end_up_alike(ada: Visitor, server: Server) -> None:
    first, author, ids = filled(ada, server, "alike@example.com", 4)
    second = ada.open()
    expect(second.locator(".post")).to_have_count(4)

    edit(author, ids[1], "edited once")
    delete(author, ids[2])
    edit(author, ids[1], "edited twice")
    author.add("the last")

    for window in (first, second):
        expect(window.locator(".post .text")).to_have_text(["the last", "post 3", "edited twice", "post 0"])
