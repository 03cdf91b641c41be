"""The page, as a person uses it in one window and in two."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import NEVER_NEAR, PASSWORD, RESULTS, Visitor, pass_ten_seconds, person_in, texts, write
from tests.e2e.server import Client, Server


def test_a_person_signs_up_writes_edits_and_deletes(ada: Visitor) -> None:
    window = ada.sign_up("writes@example.com")
    expect(window.get_by_text("You have no posts yet")).to_be_visible()

    write(window, "first")
    write(window, "second")
    expect(window.locator(".post .text")).to_have_text(["second", "first"])
    expect(window.get_by_label("New post")).to_have_value("")

    window.get_by_role("button", name="Edit, post of").last.click()
    editor(window).fill("first, edited")
    window.get_by_role("button", name="Save").click()
    expect(window.locator(".post .text")).to_have_text(["second", "first, edited"])
    expect(window.locator(".edited:visible")).to_have_count(1)

    window.get_by_role("button", name="Delete, post of").first.click()
    window.get_by_role("button", name="Undo").click()
    expect(window.locator(".post .text:visible")).to_have_text(["second", "first, edited"])
    delete(window)
    expect(window.locator(".post .text")).to_have_text(["first, edited"])


def test_markup_and_line_breaks_are_shown_as_typed(ada: Visitor) -> None:
    window = ada.sign_up("literal@example.com")
    text = "<script>document.title = 'taken'</script>\n  <img src=x onerror=alert(1)>\n\n&amp; 👋"

    write(window, text)

    expect(window.locator(".post .text")).to_have_count(1)
    assert texts(window) == [text]
    assert window.title() == "Postline"


def test_a_long_list_is_shown_in_parts(ada: Visitor, server: Server) -> None:
    ada.context.add_init_script(NEVER_NEAR)
    window = ada.sign_up("long@example.com")
    person = person_in(window, server)
    for number in range(45):
        person.add(f"post {number}")
    window.reload()

    shown = window.locator(".post .text")
    expect(shown.first).to_have_text("post 44")
    for count in (20, 40):
        expect(shown).to_have_count(count)
        window.get_by_role("button", name="Show more").press("Enter")
        # The first of the new posts.
        expect(window.locator(".post .edit").nth(count)).to_be_focused()
    expect(shown).to_have_count(45)
    expect(window.get_by_role("button", name="Show more")).to_be_hidden()
    assert texts(window) == [f"post {number}" for number in reversed(range(45))]


def test_what_is_wrong_is_said_at_its_field(ada: Visitor) -> None:
    window = ada.open()
    window.get_by_role("button", name="Create an account instead").click()
    window.get_by_label("Email").fill("wrong@example.com")
    window.get_by_label("Password").fill("password1")
    window.get_by_role("button", name="Create an account").click()

    field = window.get_by_label("Password")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description("At least 8 characters. This password is too common. Choose another.")
    expect(field).to_be_focused()
    expect(window.get_by_label("Email")).not_to_have_attribute("aria-invalid", "true")
    ada.forget("status of 400")


def test_an_address_that_is_taken_is_said_at_its_field(ada: Visitor, server: Server) -> None:
    Client.sign_up(server.url, "taken@example.com")
    window = ada.open()
    window.get_by_role("button", name="Create an account instead").click()
    window.get_by_label("Email").fill("taken@example.com")
    window.get_by_label("Password").fill(PASSWORD)
    window.get_by_role("button", name="Create an account").click()

    expect(window.get_by_label("Email")).to_have_accessible_description(
        "There is an account with this address already. Log in instead, or use another address."
    )
    expect(window.get_by_label("Email")).to_be_focused()
    ada.forget("status of 409")


def test_a_wrong_password_opens_nothing_and_the_right_one_does(ada: Visitor, server: Server) -> None:
    Client.sign_up(server.url, "returns@example.com").add("written elsewhere")
    window = ada.open()
    window.get_by_label("Email").fill("returns@example.com")
    window.get_by_label("Password").fill("not this one")
    window.get_by_role("button", name="Log in").click()
    expect(window.get_by_role("alert")).to_have_text("Email or password is wrong")

    window.get_by_label("Password").fill(PASSWORD)
    window.get_by_role("button", name="Log in").click()

    expect(window.locator(".post .text")).to_have_text(["written elsewhere"])
    ada.forget("status of 401")


def test_a_second_window_sees_each_change_as_it_happens(ada: Visitor) -> None:
    first = ada.sign_up("live@example.com")
    second = ada.open()
    expect(second.get_by_text("Live", exact=True)).to_be_visible()

    write(first, "hello")
    expect(second.locator(".post .text")).to_have_text(["hello"])

    second.get_by_role("button", name="Edit, post of").click()
    editor(second).fill("hello again")
    second.get_by_role("button", name="Save").click()
    expect(first.locator(".post .text")).to_have_text(["hello again"])

    delete(first)
    expect(second.locator(".post")).to_have_count(0)


def test_an_edit_never_replaces_another_window_s_unseen(ada: Visitor) -> None:
    first = ada.sign_up("conflict@example.com")
    write(first, "draft")
    second = ada.open()
    second.get_by_role("button", name="Edit, post of").click()
    editor(second).fill("from the second")

    first.get_by_role("button", name="Edit, post of").click()
    editor(first).fill("from the first")
    first.get_by_role("button", name="Save").click()
    expect(first.locator(".post .text")).to_have_text(["from the first"])
    second.get_by_role("button", name="Save").click()

    expect(second.get_by_role("alert").filter(has_text="changed elsewhere")).to_be_visible()
    expect(second.get_by_text("from the first")).to_be_visible()
    expect(editor(second)).to_have_value("from the second")
    second.screenshot(path=RESULTS / "conflict.png")
    second.get_by_role("button", name="Save").click()
    expect(first.locator(".post .text")).to_have_text(["from the second"])
    ada.forget("status of 412")


def test_what_is_typed_into_a_post_that_is_deleted_elsewhere_stays(ada: Visitor) -> None:
    first = ada.sign_up("gone@example.com")
    write(first, "short-lived")
    second = ada.open()
    second.get_by_role("button", name="Edit, post of").click()
    editor(second).fill("a long thought")

    delete(first)

    expect(second.get_by_role("alert").filter(has_text="may be deleted")).to_be_visible()
    expect(editor(second)).to_have_value("a long thought")
    second.get_by_role("button", name="Cancel").click()
    expect(second.locator(".post")).to_have_count(0)
    expect(second.get_by_label("New post")).to_be_focused()


def test_logging_out_in_one_window_logs_out_of_all(ada: Visitor, server: Server) -> None:
    first = ada.sign_up("leaves@example.com")
    write(first, "mine")
    second = ada.open()
    expect(second.locator(".post .text")).to_have_text(["mine"])
    person = person_in(first, server)

    first.get_by_role("button", name="Log out").click()

    for window in (first, second):
        expect(window.get_by_role("heading", name="Log in")).to_be_visible()
        expect(window.locator(".post")).to_have_count(0)
    assert person.request("GET", "/posts").status_code == 401


def test_logging_in_in_one_window_logs_in_all(ada: Visitor) -> None:
    second = ada.open()

    first = ada.sign_up("arrives@example.com")
    write(first, "here")

    expect(second.locator(".post .text")).to_have_text(["here"])


def test_a_session_that_is_ended_elsewhere_is_left(ada: Visitor, server: Server) -> None:
    window = ada.sign_up("ended@example.com")

    assert person_in(window, server).request("DELETE", "/auth/sessions").status_code == 204

    expect(window.get_by_role("heading", name="Log in")).to_be_visible()
    ada.forget("status of 401")


def test_an_account_that_is_erased_elsewhere_is_said_to_be(ada: Visitor, server: Server) -> None:
    window = ada.sign_up("erased-elsewhere@example.com")

    erased = person_in(window, server).request("POST", "/me/erase", json={"password": PASSWORD})

    assert erased.status_code == 204
    expect(window.get_by_text("your account was erased on another device")).to_be_visible()
    ada.forget("status of 401")


def test_everything_can_be_done_with_the_keyboard(ada: Visitor) -> None:
    window = ada.open()
    keys = window.keyboard
    expect(window.get_by_label("Email")).to_be_focused()
    press(window, "Tab", times=4)
    keys.press("Enter")
    expect(window.get_by_label("Email")).to_be_focused()
    keys.type("keys@example.com")
    keys.press("Tab")
    keys.type(PASSWORD)
    keys.press("Enter")

    expect(window.get_by_label("New post")).to_be_focused()
    keys.type("typed")
    keys.press("Control+Enter")
    expect(window.locator(".post .text")).to_have_text(["typed"])
    press(window, "Tab", times=3)
    expect(window.get_by_role("button", name="Edit, post of")).to_be_focused()
    keys.press("Enter")
    keys.press("End")
    keys.type(", edited")
    keys.press("Tab")
    keys.press("Enter")
    expect(window.locator(".post .text")).to_have_text(["typed, edited"])
    expect(window.get_by_role("button", name="Edit, post of")).to_be_focused()
    keys.press("Tab")
    keys.press("Enter")
    expect(window.get_by_role("button", name="Undo")).to_be_focused()
    keys.press("Enter")
    expect(window.get_by_role("button", name="Delete, post of")).to_be_focused()


@pytest.fixture
def bob(visit: Callable[..., Visitor], server: Server) -> Visitor:
    return visit(server.url)


def test_a_draft_that_is_too_large_to_be_stored_can_be_typed_all_the_same(ada: Visitor) -> None:
    window = ada.sign_up("types-much@example.com")
    field = window.get_by_label("New post")
    field.fill("kept")

    field.evaluate("""field => {
        field.value = "x".repeat(6_000_000);
        field.dispatchEvent(new InputEvent("input", { bubbles: true }));
    }""")
    assert window.evaluate("localStorage.getItem('postline.draft.types-much@example.com')") is None

    write(window, "shorter")
    expect(window.locator(".post .text")).to_have_text(["shorter"])


def test_a_damaged_session_is_none(ada: Visitor) -> None:
    window = ada.open()
    window.evaluate("localStorage.setItem('postline.session', '{')")
    window.reload()

    expect(window.get_by_role("heading", name="Log in")).to_be_visible()
    ada.sign_up("damaged@example.com")


def test_what_one_person_left_unsent_is_not_shown_to_the_next(bob: Visitor) -> None:
    window = bob.sign_up("leaves-a-draft@example.com")
    window.get_by_label("New post").fill("not for others")
    window.reload()
    expect(window.get_by_label("New post")).to_have_value("not for others")
    window.get_by_role("button", name="Log out").click()
    window.get_by_role("button", name="Create an account instead").click()
    window.get_by_label("Email").fill("comes-next@example.com")
    window.get_by_label("Password").fill(PASSWORD)
    window.get_by_role("button", name="Create an account").click()

    expect(window.get_by_text("Live", exact=True)).to_be_visible()
    expect(window.get_by_label("New post")).to_have_value("")


def delete(window: Page) -> None:
    # Chromium draws the window in front; the others wait seconds for what a click needs.
    window.bring_to_front()
    window.get_by_role("button", name="Delete, post of").first.click()
    pass_ten_seconds(window)


def editor(window: Page) -> Locator:
    return window.get_by_role("textbox", name="Text of the post")


def press(window: Page, key: str, *, times: int) -> None:
    for _ in range(times):
        window.keyboard.press(key)
