"""The page while networks, servers and tokens come and go: nothing is lost, nothing is there twice."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import PASSWORD, RESULTS, Visitor, person_in, texts, write
from tests.e2e.server import Client, Server, free_port, serving

# What Chromium says of a request that got no answer.
_NO_ANSWER = "Failed to load resource: net::"


def is_live(window: Page) -> None:
    expect(window.get_by_text("Live", exact=True)).to_be_visible()


def is_offline(window: Page) -> None:
    expect(window.get_by_text("Offline. Reconnecting…")).to_be_visible()


def test_a_post_written_offline_is_sent_once_when_the_network_is_back(ada: Visitor, server: Server) -> None:
    window = ada.sign_up("offline@example.com")
    person = person_in(window, server)
    ada.context.set_offline(True)
    is_offline(window)

    write(window, "from the train")
    expect(window.get_by_role("alert")).to_contain_text("Your post is sent when it can be")
    expect(window.get_by_label("New post")).to_have_value("from the train")
    window.screenshot(path=RESULTS / "offline.png")
    person.add("from elsewhere meanwhile")
    ada.context.set_offline(False)

    is_live(window)
    expect(window.locator(".post .text")).to_have_text(["from the train", "from elsewhere meanwhile"])
    expect(window.get_by_label("New post")).to_have_value("")
    assert len(person.list()) == 2
    ada.forget(_NO_ANSWER)


def test_a_post_whose_answer_was_lost_with_the_server_is_there_once(
    visit: Callable[..., Visitor], tmp_path: Path
) -> None:
    port = free_port()

    def lose_the_answer(route: Route) -> None:
        if route.request.method != "POST":
            route.fallback()
            return
        assert route.fetch().status == 201
        first.kill()
        route.abort()

    with serving(tmp_path, port=port) as first:
        ada = visit(first.url)
        window = ada.sign_up("killed@example.com")
        window.route("**/posts", lose_the_answer)
        write(window, "committed, but who knows")
        is_offline(window)
        expect(window.get_by_label("New post")).to_have_value("committed, but who knows")
        window.unroute("**/posts")

    with serving(tmp_path, port=port) as second:
        is_live(window)
        expect(window.get_by_text("Posted.")).to_be_visible()
        expect(window.get_by_label("New post")).to_have_value("")
        assert texts(window) == ["committed, but who knows"]
        assert len(person_in(window, second).list()) == 1
    is_offline(window)
    ada.forget(_NO_ANSWER)


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[Server]:
    """A service whose access tokens live for two seconds."""
    with serving(tmp_path, settings={"ACCESS_TOKEN_SECONDS": "2"}) as server:
        yield server


def test_windows_whose_tokens_expire_together_exchange_each_refresh_token_once(
    visit: Callable[..., Visitor], hasty: Server
) -> None:
    ada = visit(hasty.url)
    exchanged: list[str] = []
    ada.context.on(
        "request",
        lambda request: exchanged.append(request.post_data or "") if request.url.endswith("/auth/refresh") else None,
    )
    windows = [ada.sign_up("hasty@example.com"), ada.open(), ada.open()]
    login = {"email": "hasty@example.com", "password": PASSWORD}

    for number in range(1, 3):
        windows[0].wait_for_timeout(2_100)
        tokens = httpx.post(f"{hasty.url}/auth/login", json=login).json()
        Client(hasty.url, login["email"], tokens).add(f"post {number}")
        for window in windows:
            expect(window.locator(".post")).to_have_count(number)

    assert len(exchanged) >= 2
    assert len(set(exchanged)) == len(exchanged)
    for window in windows:
        is_live(window)
    ada.forget("status of 401")


def test_a_history_that_is_not_kept_makes_the_page_read_the_list_anew(ada: Visitor, server: Server) -> None:
    window = ada.sign_up("reset@example.com")
    reset = 'id: 9\nevent: reset\ndata: {"version":9}\n\n'
    reads: list[str] = []
    posts = f"{server.url}/posts"
    ada.context.route("**/posts/events", lambda route: route.fulfill(body=reset), times=1)
    window.on(
        "request",
        lambda request: reads.append(request.url.removeprefix(posts)) if request.url.startswith(posts) else None,
    )

    window.reload()

    is_offline(window)
    is_live(window)
    # At the start, at the reset, and when the stream, which had ended, was opened again.
    assert [read for read in reads if read != "/events"] == ["?limit=20", "?limit=20", "/changes?since=0"]


def test_a_window_that_nobody_sees_gives_its_connection_back(ada: Visitor, server: Server) -> None:
    window = ada.sign_up("hidden@example.com")
    person = person_in(window, server)
    turn = """isHidden => {
        Object.defineProperty(document, "hidden", { configurable: true, value: isHidden });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""

    with window.expect_event("requestfailed", lambda request: request.url.endswith("/posts/events")):
        window.evaluate(turn, True)
    person.add("unseen")
    with window.expect_response("**/posts/events"):
        window.evaluate(turn, False)

    assert texts(window) == ["unseen"]


def test_a_connection_that_fell_silent_is_opened_anew(ada: Visitor) -> None:
    ada.context.clock.install()
    window = ada.sign_up("silent@example.com")

    ada.context.clock.fast_forward(39_000)
    is_live(window)
    ada.context.clock.fast_forward(2_000)
    is_offline(window)
    with window.expect_response("**/posts/events"):
        ada.context.clock.fast_forward(1_000)
    is_live(window)
