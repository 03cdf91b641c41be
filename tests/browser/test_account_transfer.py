"""Export, import and erasure, as a person does them on the page."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PASSWORD, RESULTS, Visitor, log_in, person_in, write
from tests.browser.test_account import open_account
from tests.browser.test_appearance import inspect
from tests.e2e.server import Server

INVALID = '{"postID": "01a20544-8f6d-7250-9b81-05646f62c3bb", "text": "no times"}\n'


def download(window: Page, folder: Path) -> Path:
    with window.expect_download() as downloading:
        window.get_by_role("button", name="Download everything").click()
    assert downloading.value.suggested_filename == "postline.ndjson"
    saved = folder / "postline.ndjson"
    downloading.value.save_as(saved)
    return saved


def import_file(window: Page, file: Path) -> None:
    window.get_by_label("Exported file").set_input_files(file)
    window.get_by_role("button", name="Add its posts").click()


def erase(window: Page, email: str, password: str) -> None:
    window.get_by_label("Your address, to confirm").fill(email)
    window.get_by_label("Password, to confirm").fill(password)
    window.get_by_role("button", name="Erase everything for good").click()


def test_what_is_exported_is_imported_by_another_account_once(
    ada: Visitor, visit: Callable[..., Visitor], server: Server, tmp_path: Path
) -> None:
    window = ada.sign_up("exports@example.com")
    write(window, "first")
    write(window, "second")
    expect(window.locator(".post .text")).to_have_text(["second", "first"])
    open_account(window)
    saved = download(window, tmp_path)
    expect(window.locator("#account-export .done")).to_contain_text("Downloaded: postline.ndjson")
    expect(window.get_by_role("button", name="Download everything")).to_be_focused()
    lines = saved.read_bytes().splitlines()
    assert [json.loads(line)["text"] for line in lines[1:3]] == ["first", "second"]
    assert json.loads(lines[-1])["end"]["lines"] == len(lines) - 1

    other = visit(server.url).sign_up("imports@example.com")
    open_account(other)
    import_file(other, saved)
    expect(other.get_by_text("2 posts added, 0 were here already.")).to_be_visible()
    expect(other.locator("#account-erasure .explanation")).to_contain_text("2 posts")
    import_file(other, saved)
    expect(other.get_by_text("0 posts added, 2 were here already.")).to_be_visible()
    other.get_by_role("link", name="Back to your posts").click()
    expect(other.locator(".post .text")).to_have_text(["second", "first"])


def test_an_export_that_is_cancelled_saves_nothing(ada: Visitor) -> None:
    window = ada.sign_up("cancels@example.com")
    ada.context.route("**/me/export", lambda _: None)
    open_account(window)
    window.get_by_role("button", name="Download everything").click()
    expect(window.get_by_role("progressbar", name="Export")).to_be_visible()
    expect(window.get_by_role("button", name="Cancel the download")).to_be_focused()

    window.keyboard.press("Enter")

    expect(window.get_by_text("The download was cancelled.")).to_be_visible()
    expect(window.get_by_role("button", name="Download everything")).to_be_focused()


def test_an_import_that_breaks_off_says_that_it_can_be_repeated(ada: Visitor, tmp_path: Path) -> None:
    window = ada.sign_up("breaks@example.com")
    file = tmp_path / "posts.ndjson"
    file.write_text(INVALID)
    ada.context.route("**/me/import", lambda route: route.abort())
    open_account(window)

    import_file(window, file)

    expect(window.locator("#account-import-file-error")).to_contain_text("import the file again")
    ada.forget("ERR_FAILED")


@pytest.mark.parametrize(("scheme", "width"), [("light", 375), ("dark", 1280), ("dark", 375), ("light", 1280)])
def test_a_person_erases_the_account_with_its_address_and_password(
    visit: Callable[..., Visitor], server: Server, tmp_path: Path, scheme: Literal["light", "dark"], width: int
) -> None:
    email = f"erases-{width}-{scheme}@example.com"
    visitor = visit(server.url, color_scheme=scheme, viewport={"width": width, "height": 800})
    window = visitor.sign_up(email)
    write(window, "soon gone")
    expect(window.locator(".post .text")).to_have_text(["soon gone"])
    person = person_in(window, server)
    open_account(window)
    expect(window.get_by_text("with its 1 post,")).to_be_visible()
    file = tmp_path / "posts.ndjson"
    file.write_text(INVALID)
    import_file(window, file)
    field = window.get_by_label("Exported file")
    reason = "created_at: Field required"
    expect(field).to_have_accessible_description(f"Line 1 of the file is not valid: {reason}. Nothing was added.")
    expect(field).to_be_focused()

    erase(window, "somebody@example.com", PASSWORD)
    address = window.get_by_label("Your address, to confirm")
    expect(address).to_have_accessible_description("This is not the address of your account.")
    inspect(window, f"transfer-{width}-{scheme}")
    erase(window, email.upper(), "not this one")
    expect(window.get_by_label("Password, to confirm")).to_have_accessible_description("Password is wrong")
    assert person.request("GET", "/me").status_code == 200
    erase(window, email, PASSWORD)

    expect(window.get_by_text("Your account is erased")).to_be_visible()
    expect(window.get_by_role("heading", name="Log in")).to_be_visible()
    expect(window.get_by_label("Email")).to_be_focused()
    assert window.url == f"{server.url}/"
    window.screenshot(path=RESULTS / f"erased-{width}-{scheme}.png")
    assert person.request("GET", "/me").status_code == 401
    log_in(window, email, PASSWORD)
    expect(window.get_by_text("Email or password is wrong")).to_be_visible()
    visitor.forget("status of 400", "status of 401", "status of 403")
