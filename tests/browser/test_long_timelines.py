"""Timelines of thousands of posts: what happens touches only what it is about."""

import json
from collections import Counter

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor, pass_ten_seconds, person_in
from tests.e2e.server import Client, Server

POSTS = 2_000
BATCH = 100

# Counts the changes to the list: nodes that came or went, and posts in which something changed.
COUNT = """() => {
    window.touched = { nodes: 0, posts: new Set() };
    new MutationObserver((records) => {
        for (const { addedNodes, removedNodes, target } of records) {
            touched.nodes += addedNodes.length + removedNodes.length;
            const post = (target.closest ? target : target.parentElement)?.closest(".post");
            if (post) touched.posts.add(post);
        }
    }).observe(document.getElementById("posts"), {
        subtree: true, childList: true, attributes: true, characterData: true,
    });
}"""
TOUCHED = "() => ({ nodes: touched.nodes, posts: touched.posts.size })"


def add_posts(author: Client, first: int, count: int) -> list[str]:
    operations = [{"op": "create", "text": f"post {number}"} for number in range(first, first + count)]
    answer = author.request("POST", "/posts/batch", json={"operations": operations})
    assert answer.status_code == 200, answer.text
    return [result["postID"] for result in answer.json()["results"]]


@pytest.fixture
def long(ada: Visitor, server: Server, request: pytest.FixtureRequest) -> tuple[Page, Client, list[str]]:
    """A window that shows 2,000 posts, their author, and their ids."""
    window = ada.sign_up(f"{request.function.__name__[:60]}@example.com")
    author = person_in(window, server)
    ids: list[str] = []
    while len(ids) < POSTS:
        ids += add_posts(author, len(ids), BATCH)
        expect(window.locator(".post")).to_have_count(len(ids))
    window.evaluate(COUNT)
    return window, author, ids


def test_a_change_touches_one_post_of_two_thousand(long: tuple[Page, Client, list[str]]) -> None:
    window, author, ids = long

    author.add("the newest")
    expect(window.locator(".post .text").first).to_have_text("the newest")
    # The post, and at most a list for it with its heading.
    assert window.evaluate(TOUCHED)["nodes"] <= 2
    assert window.evaluate(TOUCHED)["posts"] == 0

    assert author.request("PATCH", f"/posts/{ids[1_000]}", json={"text": "edited"}).status_code == 200
    expect(window.locator(".post .text").nth(1_000)).to_have_text("edited")
    assert window.evaluate(TOUCHED)["posts"] == 1

    nodes = window.evaluate(TOUCHED)["nodes"]
    assert author.request("DELETE", f"/posts/{ids[500]}").status_code == 204
    expect(window.locator(".post")).to_have_count(POSTS)
    assert window.evaluate(TOUCHED)["nodes"] == nodes + 1
    assert window.evaluate(TOUCHED)["posts"] == 1


def test_typing_touches_none_of_two_thousand_posts(long: tuple[Page, Client, list[str]]) -> None:
    window, _, _ = long
    requests: list[str] = []
    window.on("request", lambda request: requests.append(request.url))

    window.get_by_label("New post").press_sequentially("every letter of it")

    expect(window.get_by_label("New post")).to_have_value("every letter of it")
    assert window.evaluate(TOUCHED) == {"nodes": 0, "posts": 0}
    assert requests == []


def test_what_happens_makes_the_browser_style_no_other_post_again(long: tuple[Page, Client, list[str]]) -> None:
    window, _, _ = long
    browser = window.context.browser
    assert browser is not None
    browser.start_tracing(page=window, categories=["disabled-by-default-devtools.timeline.invalidationTracking"])

    window.get_by_label("New post").press_sequentially("a post")
    window.get_by_label("New post").press("Control+Enter")
    expect(window.locator(".post .text").first).to_have_text("a post")
    window.locator(".post .edit").nth(1).press("Enter")
    window.get_by_role("textbox", name="Text of the post").press_sequentially("edited: ")
    window.keyboard.press("Control+Enter")
    expect(window.get_by_text("Saved.")).to_be_visible()
    window.locator(".post .delete").first.press("Enter")
    pass_ten_seconds(window)
    expect(window.locator(".post")).to_have_count(POSTS)

    events = json.loads(browser.stop_tracing())["traceEvents"]
    styled = [each["args"]["data"] for each in events if each["name"] == "StyleRecalcInvalidationTracking"]
    # With all that is in them: fields alone, whose parts are the browser's own.
    assert {each["nodeName"].split()[0] for each in styled if each["subtree"]} == {"TEXTAREA"}
    # Headings of days, of which there is one for every twenty posts.
    reasons = Counter((each["reason"], each["extraData"]) for each in styled if each["nodeName"] == "H3")
    assert reasons.total() <= 6, reasons
    # A few for each key.
    assert len(styled) < POSTS / 4


def test_posts_out_of_sight_are_not_laid_out(long: tuple[Page, Client, list[str]]) -> None:
    window, _, _ = long

    rendered = window.locator(".post").evaluate_all("""posts => posts.filter((post) =>
        post.querySelector(".text").checkVisibility({ contentVisibilityAuto: true })).length""")

    assert 0 < rendered < POSTS / 4


def test_scrolling_reads_on_by_itself_and_loses_no_post(ada: Visitor, server: Server) -> None:
    window = ada.sign_up("scrolls@example.com")
    author = person_in(window, server)
    add_posts(author, 0, 90)
    window.reload()
    expect(window.locator(".post").first).to_be_visible()

    while window.locator(".post").count() < 90:
        count = window.locator(".post").count()
        window.evaluate("scrollTo(0, document.body.scrollHeight)")
        expect(window.locator(".post")).not_to_have_count(count)

    expect(window.get_by_role("button", name="Show more")).to_be_hidden()
    expect(window.locator(".post .text")).to_have_text([post["text"] for post in author.list()])
