"""The page without a network: its files are kept, and nothing of the person."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor, wait_until, write
from tests.e2e.server import ROOT, free_port, serving
from tests.path_proxy import path_proxy_to

# What Chromium says of a request that got no answer, or the answer of a proxy that got none.
NO_ANSWER = ("Failed to load resource: net::", "status of 502")
KEPT = """async () => {
  const kept = {};
  for (const name of await caches.keys()) {
    kept[name] = (await (await caches.open(name)).keys()).map((request) => new URL(request.url).pathname);
  }
  return kept;
}"""


def wait_until_kept(window: Page) -> None:
    # An update succeeds when the browser has noted the registration, shortly after the worker is active.
    wait_until(
        window,
        """async () => {
        const [registration] = await navigator.serviceWorker.getRegistrations();
        const isActive = registration?.active?.state === "activated";
        return isActive && registration.update().then(() => true, () => false);
    }""",
    )


def kept(window: Page) -> dict[str, Any]:
    found: dict[str, Any] = window.evaluate(KEPT)
    return found


def test_a_reload_without_a_network_shows_the_page_and_says_so(ada: Visitor) -> None:
    window = ada.sign_up("reloads@example.com")
    write(window, "on the service alone")
    wait_until_kept(window)
    ada.context.set_offline(True)

    window.reload()

    expect(window.get_by_text("Offline. Reconnecting…")).to_be_visible()
    expect(window.get_by_text("Your posts can't be read at the moment.")).to_be_visible()
    expect(window.get_by_text("on the service alone")).to_have_count(0)
    expect(window.get_by_label("New post")).to_be_focused()

    ada.context.set_offline(False)
    expect(window.locator(".post .text")).to_have_text(["on the service alone"])
    ada.forget(*NO_ANSWER)


def test_at_the_door_it_says_that_there_is_no_network(ada: Visitor) -> None:
    window = ada.open()
    wait_until_kept(window)
    ada.context.set_offline(True)
    window.reload()

    expect(window.get_by_text("You are offline.")).to_be_visible()
    expect(window.get_by_role("heading", name="Log in")).to_be_visible()

    ada.context.set_offline(False)
    expect(window.get_by_text("You are offline.")).to_have_count(0)
    ada.forget(*NO_ANSWER)


def test_only_the_page_s_files_are_kept_and_nothing_of_the_person_after_the_log_out(ada: Visitor) -> None:
    window = ada.sign_up("keeps-nothing@example.com")
    wait_until_kept(window)
    window.reload()
    expect(window.get_by_text("Live", exact=True)).to_be_visible()
    write(window, "not for the cache")
    expect(window.locator(".post .text")).to_have_text(["not for the cache"])

    files = {f"/static/{path.name}" for path in (ROOT / "controllers" / "static").iterdir()}
    (paths,) = kept(window).values()
    assert set(paths) == {"/", *files} - {"/static/service-worker.js"}

    window.get_by_role("button", name="Log out").click()
    expect(window.get_by_role("heading", name="Log in")).to_be_visible()
    assert window.evaluate("Object.keys(localStorage)") == []
    assert window.evaluate("indexedDB.databases()") == []
    (paths,) = kept(window).values()
    assert set(paths) == {"/", *files} - {"/static/service-worker.js"}


def test_a_new_version_is_shown_at_once_and_replaces_what_was_kept(
    visit: Callable[..., Visitor], tmp_path: Path
) -> None:
    port = free_port()
    with serving(tmp_path, port=port) as old:
        ada = visit(old.url)
        window = ada.open()
        wait_until_kept(window)
        (before,) = kept(window)

    with serving(tmp_path, port=port, settings={"SIGN_UP": "closed"}):
        window.reload()
        expect(window.get_by_text("This service takes no new accounts.")).to_be_visible()
        wait_until(
            window,
            f"async () => {{ const found = await ({KEPT})(); "
            f"return Object.keys(found).length === 1 && !({json.dumps(before)} in found); }}",
        )

    # The new version, whole, although the service has ended.
    window.reload()
    expect(window.get_by_text("This service takes no new accounts.")).to_be_visible()
    ada.forget(*NO_ANSWER)


@pytest.mark.parametrize("slash", ["", "/"], ids=["without a final slash", "with one"])
def test_below_a_path_the_page_is_kept_for_that_path_alone(
    visit: Callable[..., Visitor], tmp_path: Path, slash: str
) -> None:
    with (
        serving(tmp_path, settings={"ROOT_PATH": "/postline"}) as server,
        path_proxy_to(server.url, "/postline", strips=True) as url,
    ):
        ada = visit(f"{url}/postline{slash}")
        window = ada.open("")
        wait_until_kept(window)
        scopes = window.evaluate(
            "navigator.serviceWorker.getRegistrations().then((all) => all.map(({ scope }) => scope))"
        )
        assert scopes == [f"{url}/postline/"]

        ada.context.set_offline(True)
        window.reload()
        expect(window.get_by_text("You are offline.")).to_be_visible()
        ada.forget(*NO_ANSWER)


def test_the_print_has_posts_and_no_controls(ada: Visitor) -> None:
    window = ada.sign_up("prints@example.com")
    write(window, "on paper")
    expect(window.locator(".post .text")).to_have_text(["on paper"])

    window.emulate_media(media="print")

    expect(window.get_by_text("on paper")).to_be_visible()
    expect(window.locator("button:visible, input:visible, textarea:visible, form:visible")).to_have_count(0)
