"""`/docs`, used as its visitors use it."""

import json
from typing import Any

from playwright.sync_api import Locator, expect

from tests.browser.conftest import PASSWORD, RESULTS, Visitor


def test_a_visitor_signs_up_authorizes_and_posts_through_the_page(ada: Visitor) -> None:
    window = ada.open("/docs")

    def execute(operation: str, body: dict[str, str] | None = None) -> Any:
        block = window.locator(f"[id$='-{operation}']")
        if not block.locator(".opblock-body").is_visible():
            block.locator(".opblock-summary-control").click()
        if body is not None:
            block.locator("textarea.body-param__text").fill(json.dumps(body))
        block.get_by_role("button", name="Execute").click()
        return json.loads(answer_in(block).inner_text())

    tokens = execute("signUp", {"email": "docs@example.com", "password": PASSWORD})
    window.get_by_role("button", name="Authorize").first.click()
    window.get_by_label("auth-bearer-value").fill(tokens["access_token"])
    window.get_by_role("button", name="Apply credentials").click()
    window.get_by_role("button", name="Close").click()
    added = execute("createPost", {"text": "Written in the documentation"})
    listed = execute("listPosts")

    assert [(each["postID"], each["text"]) for each in listed] == [(added["postID"], "Written in the documentation")]
    answer_in(window.locator("[id$='-listPosts']")).scroll_into_view_if_needed()
    window.screenshot(path=RESULTS / "docs.png")


def answer_in(block: Locator) -> Locator:
    answer = block.locator(".live-responses-table .response .highlight-code code").first
    expect(answer).to_be_visible()
    return answer
