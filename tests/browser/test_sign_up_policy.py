"""The page's door where sign-up is open, by invitation, or closed."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PASSWORD, Visitor
from tests.e2e.server import ROOT, Server, run, serving


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("invited")


@pytest.fixture(scope="module")
def by_invitation(folder: Path) -> Iterator[Server]:
    with serving(folder, settings={"SIGN_UP": "invite"}) as server:
        yield server


def invite(folder: Path) -> str:
    ended = run("litestar", "--app-dir", str(ROOT), "invites", "create", "--json", cwd=folder, SIGN_UP="invite")
    code: str = json.loads(ended.stdout)[0]["code"]
    return code


def fill_in(window: Page, email: str) -> None:
    window.get_by_label("Email").fill(email)
    window.get_by_label("Password").fill(PASSWORD)


def create_account(window: Page) -> None:
    window.get_by_role("button", name="Create an account", exact=True).click()


def test_where_sign_up_is_closed_the_door_says_so_and_offers_log_in_alone(
    visit: Callable[..., Visitor], tmp_path: Path
) -> None:
    with serving(tmp_path, settings={"SIGN_UP": "closed"}) as server:
        for path in ("/", "/#invite=code"):
            window = visit(server.url).open(path)
            expect(window.get_by_text("This service takes no new accounts.")).to_be_visible()
            expect(window.get_by_role("heading", name="Log in")).to_be_visible()
            expect(window.get_by_role("button", name="Create an account")).to_have_count(0)
            assert window.url == f"{server.url}/"


def test_where_sign_up_is_open_the_door_asks_for_no_invitation(visit: Callable[..., Visitor], server: Server) -> None:
    window = visit(server.url).open("/#invite=code")

    expect(window.get_by_role("heading", name="Create an account")).to_be_visible()
    expect(window.get_by_label("Invitation code")).to_be_hidden()
    expect(window.get_by_text("takes no new accounts")).to_be_hidden()
    fill_in(window, "needs-no-invitation@example.com")
    create_account(window)
    expect(window.get_by_text("Live", exact=True)).to_be_visible()


def test_a_person_follows_the_link_of_an_invitation(
    visit: Callable[..., Visitor], by_invitation: Server, folder: Path
) -> None:
    code = invite(folder)
    window = visit(by_invitation.url).open(f"/#invite={code}")

    expect(window.get_by_role("heading", name="Create an account")).to_be_visible()
    expect(window.get_by_label("Invitation code")).to_have_value(code)
    assert window.url == f"{by_invitation.url}/"
    fill_in(window, "follows@example.com")
    create_account(window)
    expect(window.get_by_text("Live", exact=True)).to_be_visible()

    window.get_by_role("button", name="Log out").click()
    expect(window.get_by_role("heading", name="Log in")).to_be_visible()
    expect(window.get_by_label("Invitation code")).to_be_hidden()
    fill_in(window, "follows@example.com")
    window.get_by_role("button", name="Log in").click()
    expect(window.get_by_text("Live", exact=True)).to_be_visible()


def test_a_person_types_the_code(visit: Callable[..., Visitor], by_invitation: Server, folder: Path) -> None:
    ada = visit(by_invitation.url)
    window = ada.open()
    expect(window.get_by_label("Invitation code")).to_be_hidden()
    window.get_by_role("button", name="Create an account instead").click()
    fill_in(window, "types@example.com")
    window.get_by_label("Invitation code").fill("no code")
    create_account(window)
    expect(window.get_by_text("This invitation is not valid.")).to_be_visible()
    ada.forget("status of 403")

    window.get_by_label("Invitation code").fill(f" {invite(folder).upper()} ")
    create_account(window)
    expect(window.get_by_text("Live", exact=True)).to_be_visible()


def test_who_is_logged_in_already_is_told_to_log_out_first(
    visit: Callable[..., Visitor], by_invitation: Server, folder: Path
) -> None:
    window = visit(by_invitation.url).open(f"/#invite={invite(folder)}")
    fill_in(window, "first@example.com")
    create_account(window)
    expect(window.get_by_text("Live", exact=True)).to_be_visible()

    code = invite(folder)
    window.goto(f"{by_invitation.url}/#invite={code}")
    expect(window.get_by_text("You are logged in.")).to_be_visible()
    window.get_by_role("button", name="Log out").click()

    expect(window.get_by_role("heading", name="Create an account")).to_be_visible()
    expect(window.get_by_label("Invitation code")).to_have_value(code)
