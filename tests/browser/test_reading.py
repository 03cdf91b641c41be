"""The timeline as somebody reads it: days, times, long and strange texts, and the names of controls."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import PASSWORD, Visitor, person_in, write
from tests.browser.test_appearance import inspect
from tests.e2e.server import Client, Server, serving

NOW = datetime(2026, 1, 14, 10, 0, tzinfo=UTC)
LINES = "\n".join(f"line {number}" for number in range(60))


def import_posts(author: Client, *posts: tuple[str, str]) -> None:
    """Add posts of given times, the oldest first."""
    lines = [
        {"postID": str(UUID(int=number + (7 << 76) + (2 << 62))), "text": text, "created_at": time, "updated_at": time}
        for number, (time, text) in enumerate(posts)
    ]
    body = "".join(json.dumps(line | {"version": 1}) + "\n" for line in lines)
    sent = author.request("POST", "/me/import", content=body, headers={"content-type": "application/x-ndjson"})
    assert sent.json()["created"] == len(posts), sent.text


def in_new_york(visit: Callable[..., Visitor], server: Server, now: datetime = NOW) -> Visitor:
    visitor = visit(server.url, timezone_id="America/New_York")
    visitor.context.clock.install(time=now)
    return visitor


def test_posts_stand_below_their_days(visit: Callable[..., Visitor], server: Server) -> None:
    visitor = in_new_york(visit, server)
    window = visitor.sign_up("days@example.com")
    import_posts(
        person_in(window, server),
        ("2025-12-31T17:00:00Z", "last year"),
        ("2026-01-12T20:00:00Z", "monday"),
        # Yesterday in New York, and not in London.
        ("2026-01-14T04:59:00Z", "late"),
        ("2026-01-14T08:53:07Z", "early"),
        ("2026-01-14T09:30:00Z", "just now"),
    )

    headings = window.locator("#posts").get_by_role("heading", level=3)
    expect(headings).to_have_text(["Today", "Yesterday", "Monday, January 12", "Wednesday, December 31, 2025"])
    expect(window.get_by_role("list", name="Today").get_by_role("listitem")).to_have_count(2)
    time = window.locator("time").nth(1)
    expect(time).to_have_text("3:53 AM")
    expect(time).to_have_attribute("datetime", "2026-01-14T08:53:07Z")
    expect(time).to_have_attribute("title", re.compile(r"Wednesday, January 14, 2026 at 3:53:07\sAM"))

    visitor.context.clock.fast_forward("20:00:00")
    expect(headings.nth(0)).to_have_text("Yesterday")
    expect(headings.nth(1)).to_have_text("Tuesday, January 13")


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service whose access tokens live for three seconds."""
    with serving(tmp_path_factory.mktemp("hasty"), settings={"ACCESS_TOKEN_SECONDS": "3"}) as started:
        yield started


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_an_hour_off_harms_nothing(visit: Callable[..., Visitor], hasty: Server, hours: int) -> None:
    visitor = visit(hasty.url)
    visitor.context.add_init_script(f"""{{
        const Now = Date;
        const off = {hours} * 3_600_000;
        globalThis.Date = class extends Now {{
            constructor(...given) {{ given.length ? super(...given) : super(Now.now() + off); }}
            static now() {{ return Now.now() + off; }}
        }};
    }}""")
    window = visitor.sign_up(f"clock-{hours}@example.com")
    refreshed: list[int] = []
    window.on(
        "response",
        lambda response: refreshed.append(response.status) if response.url.endswith("/auth/refresh") else None,
    )

    write(window, "written")
    expect(window.locator(".post .text")).to_have_text(["written"])
    expect(window.locator("#posts").get_by_role("heading", level=3)).to_have_count(1)
    login = {"email": f"clock-{hours}@example.com", "password": PASSWORD}
    tokens = hasty.http.post(f"{hasty.url}/auth/login", json=login).json()
    Client(hasty.url, login["email"], tokens).add("from elsewhere")
    expect(window.locator(".post .text")).to_have_text(["from elsewhere", "written"])

    # Tokens fall due by the time since they came, whatever the clock says.
    window.wait_for_timeout(3_100)
    window.get_by_role("button", name="Edit, post of").last.click()
    window.get_by_role("textbox", name="Text of the post").fill("edited")
    window.keyboard.press("Control+Enter")
    expect(window.locator(".post .text")).to_have_text(["from elsewhere", "edited"])
    assert refreshed
    assert set(refreshed) == {200}
    window.get_by_label("New post").fill("a draft")
    window.get_by_role("button", name="Edit, post of").last.click()
    window.get_by_role("textbox", name="Text of the post").fill("an edit")
    window.reload()
    expect(window.get_by_label("New post")).to_have_value("a draft")
    expect(window.get_by_role("textbox", name="Text of the post")).to_have_value("an edit")
    window.get_by_role("button", name="Cancel").click()

    window.get_by_role("button", name="Delete, post of").first.click()
    window.get_by_role("link", name="Account").click()
    window.get_by_role("link", name="Back to your posts").click()
    expect(window.locator(".post .text")).to_have_text(["edited"])
    visitor.forget("status of 401")


def test_each_control_of_each_post_has_a_name_of_its_own(visit: Callable[..., Visitor], server: Server) -> None:
    visitor = in_new_york(visit, server)
    window = visitor.sign_up("names@example.com")
    time = "2026-01-14T08:53:07Z"
    import_posts(
        person_in(window, server),
        (time, "same"),
        (time, "same"),
        ("2026-01-14T08:53:50Z", "Groceries:\n · lemons, and the good olive oil of last year"),
        (time, LINES),
    )

    expect(window.locator(".post")).to_have_count(4)
    names = [
        " ".join(name.split())
        for name in window.locator("#posts button:visible").evaluate_all("all => all.map((button) => button.ariaLabel)")
    ]
    assert len(set(names)) == len(names) == 9
    assert "Delete, post of 3:53 AM, same" in names
    assert "Delete, post of 3:53 AM, Groceries: · lemons, and the g…" in names
    assert "Show all, post of 3:53 AM, line 0 line 1 line 2 line 3 li…" in names


@pytest.mark.parametrize("width", [375, 1280])
def test_a_long_post_is_cut_until_somebody_wants_all_of_it(
    visit: Callable[..., Visitor], server: Server, width: int
) -> None:
    window = visit(server.url, viewport={"width": width, "height": 800}).sign_up(f"cut-{width}@example.com")
    write(window, LINES)
    text = window.locator(".post .text")
    button = window.get_by_role("button", name="Show all, post of")
    expect(text).to_contain_text("line 19…")
    expect(button).to_have_attribute("aria-expanded", "false")
    expect(text).not_to_contain_text("line 20")

    button.press("Enter")

    expect(text).to_have_text(LINES)
    less = window.get_by_role("button", name="Show less, post of")
    expect(less).to_have_attribute("aria-expanded", "true")
    expect(less).to_be_focused()
    less.press("Enter")
    expect(text).not_to_contain_text("line 20")
    window.get_by_role("button", name="Edit, post of").click()
    expect(window.get_by_role("textbox", name="Text of the post")).to_have_value(LINES)


def test_a_cut_post_leads_nowhere_else(ada: Visitor) -> None:
    window = ada.sign_up("cut-address@example.com")
    address = "https://example.com/" + "a" * 5_000
    write(window, f"See {address}")

    text = window.locator(".post .text")
    expect(text).to_have_text("See…")
    window.get_by_role("button", name="Show all, post of").click()
    expect(text.get_by_role("link")).to_have_attribute("href", address)


@pytest.mark.parametrize("body", ["word " * 200_000, "x" * 1_000_000, "道" * 340_000, "\n" * 500_000 + "x"])
def test_a_post_of_a_megabyte_costs_no_more_than_its_beginning(
    ada: Visitor, server: Server, request: pytest.FixtureRequest, body: str
) -> None:
    window = ada.sign_up(f"megabyte-{request.node.callspec.indices['body']}@example.com")
    person_in(window, server).add(body)

    expect(window.locator(".post")).to_have_count(1)
    assert len(window.locator(".post .text").text_content() or "") < 2_000
    expect(window.get_by_role("button", name="Show all, post of")).to_be_visible()
    window.get_by_role("button", name="Delete, post of").click()
    expect(window.get_by_role("button", name="Undo")).to_be_focused()


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=\"document.title='taken'\">",
        "javascript:alert(1)",
        "https://example.com/\"onmouseover=\"document.title='taken'",
        "<svg onload=document.title='taken'><style>*{display:none}</style>",
        "\u202eevil\u202c <a href='javascript:void 0'>x</a>",
    ],
)
def test_a_text_never_becomes_markup(ada: Visitor, request: pytest.FixtureRequest, text: str) -> None:
    window = ada.sign_up(f"markup-{request.node.callspec.indices['text']}@example.com")
    write(window, text)

    shown = window.locator(".post .text")
    expect(shown).to_have_count(1)
    assert shown.text_content() == text
    assert shown.locator("> :not(a)").count() == 0
    for link in shown.locator("a").all():
        assert link.evaluate("link => link.protocol") == "https:"
    assert window.title() == "Postline"


@pytest.mark.parametrize(
    ("text", "direction"), [("שלום עולם, hello", "rtl"), ("مرحبا", "rtl"), ("hello שלום", "ltr"), ("123 سلام", "rtl")]
)
def test_texts_run_in_the_direction_of_their_words(
    ada: Visitor, request: pytest.FixtureRequest, text: str, direction: str
) -> None:
    window = ada.sign_up(f"direction-{request.node.callspec.indices['text']}@example.com")
    write(window, text)

    expect(window.locator(".post .text")).to_have_css("direction", direction)
    window.get_by_role("button", name="Edit, post of").click()
    expect(window.get_by_role("textbox", name="Text of the post")).to_have_css("direction", direction)


def test_actions_are_quiet_until_somebody_looks_at_a_post(ada: Visitor) -> None:
    window = ada.sign_up("quiet@example.com")
    write(window, "words")
    edit = window.get_by_role("button", name="Edit, post of")
    expect(edit).to_have_css("opacity", "0")

    window.locator(".post").hover()
    expect(edit).to_have_css("opacity", "1")
    window.get_by_label("New post").hover()
    expect(edit).to_have_css("opacity", "0")
    edit.focus()
    expect(edit).to_have_css("opacity", "1")


def test_on_a_phone_every_control_of_a_post_is_there_and_large_enough(
    visit: Callable[..., Visitor], server: Server
) -> None:
    visitor = visit(server.url, viewport={"width": 375, "height": 700}, has_touch=True, is_mobile=True)
    window = visitor.sign_up("phone@example.com")
    write(window, LINES)
    expect(window.locator(".post")).to_have_count(1)

    def check() -> None:
        for button in window.locator(".post button:visible").all():
            box = button.bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) >= 44, button.get_attribute("aria-label")
            expect(button).to_have_css("opacity", "1")

    check()
    window.get_by_role("button", name="Edit, post of").tap()
    check()
    window.get_by_role("button", name="Cancel").tap()
    window.get_by_role("button", name="Delete, post of").tap()
    check()
    window.get_by_role("button", name="Undo").tap()
    expect(window.locator(".post .text")).to_be_visible()


@pytest.mark.parametrize(("scheme", "width"), [("light", 375), ("dark", 1280), ("dark", 375), ("light", 1280)])
def test_a_timeline_of_all_sorts_is_accessible_and_fits(
    visit: Callable[..., Visitor], server: Server, scheme: Literal["light", "dark"], width: int
) -> None:
    name = f"{width}-{scheme}"
    visitor = visit(server.url, color_scheme=scheme, viewport={"width": width, "height": 800}, timezone_id="UTC")
    visitor.context.clock.install(time=NOW)
    held: list[Route] = []
    visitor.context.route("**/posts?*", lambda route: held.append(route), times=1)  # noqa: PLW0108 - Playwright reads its signature
    window = visitor.open()
    window.get_by_role("button", name="Create an account instead").click()
    window.get_by_label("Email").fill(f"sorts-{name}@example.com")
    window.get_by_label("Password").fill(PASSWORD)
    window.get_by_role("button", name="Create an account").click()
    expect(window.locator(".skeleton")).to_be_visible()
    inspect(window, f"skeleton-{name}")
    held.pop().continue_()
    expect(window.get_by_text("Live", exact=True)).to_be_visible()
    import_posts(
        person_in(window, server),
        ("2025-12-24T18:00:00Z", "A quiet start. Everything here is kept in order, and nothing is lost."),
        ("2026-01-13T07:12:00Z", LINES),
        ("2026-01-13T21:40:00Z", "שלום עולם\nA line in English"),
        ("2026-01-14T08:53:00Z", "Groceries:\n  · lemons\n  · bread\n  · the good olive oil"),
        ("2026-01-14T09:30:00Z", "To read: https://example.com/" + "nowheretobreak" * 8),
        ("2026-01-14T09:45:00Z", "Short."),
    )
    expect(window.locator(".post")).to_have_count(6)
    window.locator(".post").nth(1).hover()
    inspect(window, f"timeline-{name}")
    window.get_by_role("button", name="Edit, post of").nth(2).click()
    window.get_by_role("button", name="Delete, post of").first.click()
    inspect(window, f"undo-{name}")
