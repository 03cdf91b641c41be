"""Searches: the same on every database, and otherwise like any list of posts."""

import logging
import re
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from httpx import Response
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar import Litestar

from app.service import Policies
from app.storage.folding import fold
from app.storage.policy import ListPolicy, StoragePolicy
from tests.api.conftest import Fired, Log
from tests.api.people import Person, assert_problem
from tests.api.test_query_counts import counted
from tests.conftest import on_every_database

pytestmark = on_every_database

HIT, MISS = "postline; hit", "postline; fwd=miss"

TEXTS = [
    "Die Straße nach Süden",
    "DIE STRASSE NACH NORDEN",
    "L'ÉCOLE",
    "l'e\u0301cole",
    "ecole",
    "Σίσυφος ΣΊΣΥΦΟΣ",
    "日本語のテキスト",
    "ﾃｷｽﾄ ｶﾞ",
    "한국어",
    "\u1112\u1161\u11ab\u1100\u116e\u11a8",
    "Привет, ЁЖИК",
    "İstanbul ISPARTA \u0131rmak",
    "ﬁne ½ ① K Å",
    "100% _under\\score_",
    "a\nb\tc  d",
    "🎉 party 👩\u200d👩\u200d👧",
    "𐐀𐐁 𐐨𐐩",
    "' OR 1=1 --",
    "x" * 3000 + "needle" + "ы" * 3000,
]
assert len(set(TEXTS)) == len(TEXTS)

# What each term finds, by the number of the text above.
CASES = [
    ("strasse", [0, 1]),
    ("Straße", [0, 1]),
    ("STRAẞE", [0, 1]),
    ("nach s", [0]),
    ("süden", [0]),
    ("SU\u0308DEN", [0]),
    ("suden", []),
    ("école", [2, 3]),
    ("E\u0301COLE", [2, 3]),
    ("ecole", [4]),
    ("ΣΊΣΥΦΟΣ".casefold(), [5]),
    ("ΣΊΣΥΦΟΣ", [5]),
    ("語の", [6]),
    ("テキスト", [6, 7]),
    ("ガ", [7]),
    ("한국", [8, 9]),
    ("\u1112\u1161\u11ab", [8, 9]),
    ("ёжик", [10]),
    ("i\u0307stanbul", [11]),
    ("isparta", [11]),
    ("\u0131", [11]),
    ("fine", [12]),
    ("1\u20442", [12]),
    ("k å", [12]),
    ("%", [13]),
    ("_", [13]),
    ("\\", [13]),
    ("%_", []),
    ("0% _u", [13]),
    ("\n", [14]),
    ("\t", [14]),
    ("  ", [14]),
    ("🎉", [15]),
    ("👩", [15]),
    ("\u200d", [15]),
    ("𐐨𐐩 𐐀", [16]),
    ("'", [2, 3, 17]),
    ("or 1=1 --", [17]),
    ("NEEDLEЫ", [18]),
    ("xxneedleыы", [18]),
    ("x" * 256, [18]),
    ("nothing has this", []),
]


@pytest.fixture
async def writer(ada: Person, bob: Person) -> Person:
    """Someone with these texts, beside someone else who has them too."""
    for text in TEXTS:
        await ada.add(text)
    await bob.add("Straße, école, needleы, 🎉")
    return ada


async def search(person: Person, **query: Any) -> Response:
    response = await person.get(f"/posts?{urlencode(query)}")
    assert response.status_code == 200, response.text
    return response


def texts(response: Response) -> list[str]:
    return [post["text"] for post in response.json()]


def next_of(response: Response) -> str:
    link = re.fullmatch(r'<(.+)>; rel="next"', response.headers.get("link", ""))
    return link[1] if link else ""


async def test_a_term_finds_the_same_on_every_database(writer: Person) -> None:
    found = {term: texts(await search(writer, q=term)) for term, _ in CASES}

    assert found == {term: [TEXTS[number] for number in reversed(numbers)] for term, numbers in CASES}


async def test_any_term_finds_what_pythons_own_functions_find(writer: Person) -> None:
    parts = st.sampled_from(TEXTS).flatmap(
        lambda text: st.tuples(st.integers(0, len(text) - 1), st.integers(1, 6)).map(
            lambda cut: text[cut[0] : cut[0] + cut[1]]
        )
    )
    cases = st.sampled_from([str, str.upper, str.lower, str.title, str.casefold])
    terms = st.builds(lambda part, case: case(part), parts, cases) | st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=3
    )
    drawn = list[str]()

    @settings(max_examples=60, database=None)
    @given(terms)
    def draw(term: str) -> None:
        drawn.append(term)

    draw()
    for term in set(drawn):
        expected = [text for text in reversed(TEXTS) if fold(term) in fold(text)]
        assert texts(await search(writer, q=term)) == expected, ascii(term)


async def test_what_is_found_is_the_post_as_it_is_listed(ada: Person) -> None:
    for text in ("one", "two", "three"):
        await ada.add(text)
    newest, *_, oldest = (await ada.get("/posts")).json()

    assert (await search(ada, q="O")).json() == [(await ada.get("/posts")).json()[1], oldest]
    assert (await search(ada, created_after=oldest["created_at"], q="e")).json() == [newest]


async def test_a_search_follows_every_change(ada: Person) -> None:
    assert texts(await search(ada, q="hello")) == []
    post_id = await ada.add("Hello")
    found = await search(ada, q="hello")
    assert (texts(found), found.headers["etag"]) == (["Hello"], '"1"')
    await ada.request("PATCH", f"/posts/{post_id}", json={"text": "bye"})
    assert texts(await search(ada, q="hello")) == []
    assert texts(await search(ada, q="bye")) == ["bye"]
    await ada.request("DELETE", f"/posts/{post_id}")
    assert texts(await search(ada, q="bye")) == []


async def test_a_search_is_cached_by_all_that_it_is_for(writer: Person) -> None:
    everything = (await writer.get("/posts")).json()
    at = everything[-1]["created_at"]
    for query in ({"q": "e"}, {"q": "E"}, {"created_after": at}, {"created_before": at}, {"q": "e", "limit": 2}):
        first, second = await search(writer, **query), await search(writer, **query)
        assert [first.headers["cache-status"], second.headers["cache-status"]] == [MISS, HIT]
        assert (first.content, first.headers.get("link")) == (second.content, second.headers.get("link"))
    assert (await writer.get("/posts")).json() == everything


@pytest.mark.parametrize("is_cached", [False, True])
async def test_a_search_whose_result_the_client_has_is_not_sent_again(ada: Person, is_cached: bool) -> None:
    await ada.add("hello")
    if is_cached:
        await search(ada, q="h")

    same = await ada.get("/posts?q=h", headers={"if-none-match": '"1"'})
    other = await ada.get("/posts?q=h", headers={"if-match": '"0"'})
    head = await ada.request("HEAD", "/posts?q=h")

    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", '"1"')
    assert_problem(other, 412)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", '"1"')


async def test_pages_of_a_search_follow_each_other_to_the_end(ada: Person) -> None:
    for number in range(20):
        await ada.add(f"{'Ö & = %' if number % 3 else 'other'} {number}")
    expected = texts(await search(ada, q="ö & ="))

    seen, sizes, path = list[str](), list[int](), f"/posts?q={quote('ö & =')}&limit=5&tracking=1"
    while path:
        response = await ada.get(path)
        seen += texts(response)
        sizes.append(len(response.json()))
        path = next_of(response)

    assert (seen, len(seen)) == (expected, 13)
    assert sizes == [5, 5, 3]


async def test_pages_of_a_search_stay_where_they_were_when_posts_come_and_go(ada: Person) -> None:
    ids = [await ada.add(f"{'match' if number % 2 else 'other'} {number}") for number in range(10)]
    first = await search(ada, q="match", limit=2)
    await ada.add("match, newer")
    await ada.request("DELETE", f"/posts/{ids[7]}")
    await ada.request("DELETE", f"/posts/{ids[5]}")
    await ada.request("PATCH", f"/posts/{ids[4]}", json={"text": "match now"})

    second = await ada.get(next_of(first))

    assert texts(first) == ["match 9", "match 7"]
    assert texts(second) == ["match now", "match 3"]
    assert texts(await ada.get(next_of(second))) == ["match 1"]


async def test_a_period_lies_between_two_times_and_has_neither(ada: Person) -> None:
    for number in range(4):
        await ada.add(f"{number}")
    times = [post["created_at"] for post in reversed((await ada.get("/posts")).json())]
    assert len(set(times)) == 4

    assert texts(await search(ada, created_after=times[0])) == ["3", "2", "1"]
    assert texts(await search(ada, created_before=times[3])) == ["2", "1", "0"]
    assert texts(await search(ada, created_after=times[0], created_before=times[3])) == ["2", "1"]
    assert texts(await search(ada, created_after=times[0], created_before=times[3], limit=1)) == ["2"]
    assert texts(await search(ada, created_after=times[3], created_before=times[0])) == []
    just_before = datetime.fromisoformat(times[1]) - timedelta(microseconds=1)
    assert texts(await search(ada, created_after=just_before.isoformat(), created_before=times[2])) == ["1"]


@pytest.mark.parametrize(
    "early",
    ["0000-02-29T00:00:00Z", "0001-01-01T00:00:00+23:59", "1969-12-31t23:59:60z", "2020-01-01 00:00:00.1-08:00"],
)
@pytest.mark.parametrize(
    "late", ["9999-12-31T23:59:60.999999999-23:59", "9999-12-31T23:59:60Z", "2100-02-28T00:00:00Z"]
)
async def test_times_however_odd_are_taken(ada: Person, early: str, late: str) -> None:
    await ada.add("now")

    assert texts(await search(ada, created_after=early, created_before=late)) == ["now"]
    assert texts(await search(ada, created_after=late)) == []
    assert texts(await search(ada, created_before=early)) == []


async def test_a_time_is_the_same_in_every_offset(ada: Person) -> None:
    await ada.add("one")
    [post] = (await ada.get("/posts")).json()
    before = datetime.fromisoformat(post["created_at"]) - timedelta(microseconds=1)
    there = before + timedelta(hours=5, minutes=45)
    written = f"{there.replace(tzinfo=None).isoformat(timespec='microseconds')}+05:45"

    for sent in (quote(written), written):
        assert texts(await ada.get(f"/posts?created_after={sent}")) == ["one"]
        assert texts(await ada.get(f"/posts?created_before={sent}")) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("q=", "q"),
        ("q", "q"),
        (f"q={'x' * 257}", "q"),
        ("q=a%00b", "q"),
        ("q=%ED%A0%80", "q"),
        ("q=%FF", "q"),
        ("created_after=", "created_after"),
        ("created_after=yesterday", "created_after"),
        ("created_after=1767323046", "created_after"),
        ("created_after=null", "created_after"),
        ("created_after=2026-01-02", "created_after"),
        ("created_before=2026-01-02T03:04:05", "created_before"),
        ("created_before=2026-01-02T03:04Z", "created_before"),
        ("created_before=2026-02-30T03:04:05Z", "created_before"),
        ("created_before=0000-02-30T03:04:05Z", "created_before"),
        ("created_before=2026-01-02T24:00:00Z", "created_before"),
        ("created_before=2026-01-02T03:04:05%2B24:00", "created_before"),
        ("created_before=%D9%A2026-01-02T03:04:05Z", "created_before"),
        ("q=a&limit=0", "limit"),
        ("q=a&cursor=x", "cursor"),
    ],
)
async def test_a_search_that_can_not_be_is_refused(ada: Person, fired: Fired, query: str, field: str) -> None:
    await ada.get("/posts")

    assert_problem(await ada.get(f"/posts?{query}"), 400, field)
    assert_problem(await ada.get(f"/posts?{query}", headers={"if-none-match": '"0"'}), 400, field)
    assert fired.take() == []


async def test_of_repeated_parameters_the_last_one_counts_on_every_page(ada: Person) -> None:
    for number in range(4):
        await ada.add(f"{'odd' if number % 2 else 'even'} {number}")

    for _ in range(2):
        first = await ada.get("/posts?q=even&q=odd&limit=3&limit=1")
        assert texts(first) == ["odd 3"]
        assert texts(await ada.get(next_of(first))) == ["odd 1"]
        assert texts(await search(ada, q="even")) == ["even 2", "even 0"]


async def test_nobody_finds_what_someone_else_wrote(ada: Person, bob: Person) -> None:
    await ada.add("secret")

    assert texts(await search(bob, q="secret")) == []
    assert texts(await search(ada, q="secret")) == ["secret"]


async def test_what_somebody_typed_is_neither_logged_nor_counted(
    ada: Person, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    await ada.add("hello")
    # The client runs in this process too.
    caplog.set_level(logging.WARNING, logger="httpx")
    log.take()

    for query in (
        "q=TheTypedWord",
        "q=TheTypedWord&created_after=TheTypedTime",
        "q=TheTypedWord%00",
        "q=TheTypedWord%FF",
    ):
        await ada.get(f"/posts?{query}")

    logged = log.take()
    assert logged.count("status=400") == 3
    assert "TheTyped" not in logged
    assert "TheTyped" not in (await ada.client.get("/metrics")).text


async def test_a_search_of_a_few_posts_takes_a_few_statements(app: Litestar, writer: Person) -> None:
    # The database also answers for the session, where no memory does.
    look_ups = 0 if app.state.service.database.is_sqlite else 1

    for term, selects in (("missing", 3), ("straße", 4)):
        with counted(app) as statements:
            await search(writer, q=term)
        assert [each for each in statements if each != "BEGIN"] == ["SELECT"] * (look_ups + selects)

    assert (await search(writer, q="straße")).headers["cache-status"] == HIT


def few_at_a_time(**changed: Any) -> Policies:
    return Policies(storage=StoragePolicy(lists=ListPolicy(searched_posts=3, searched_bytes=20, **changed)))


@pytest.mark.parametrize("policies", [few_at_a_time()], ids=["few-at-a-time"])
async def test_a_search_a_few_posts_at_a_time_finds_the_same(writer: Person) -> None:
    for term, numbers in CASES:
        expected = [TEXTS[number] for number in reversed(numbers)]
        assert texts(await search(writer, q=term)) == expected
        seen, path = list[str](), f"/posts?q={quote(term)}&limit=1"
        while path:
            response = await writer.get(path)
            assert len(response.json()) <= 1
            seen, path = seen + texts(response), next_of(response)
        assert seen == expected


@pytest.mark.parametrize("policies", [few_at_a_time()], ids=["few-at-a-time"])
async def test_a_page_that_is_full_is_not_searched_further(app: Litestar, ada: Person) -> None:
    for number in range(30):
        await ada.add(f"match {number}")

    with counted(app) as statements:
        assert texts(await search(ada, q="match", limit=2)) == ["match 29", "match 28"]

    assert statements.count("SELECT") <= 5


@pytest.mark.parametrize("policies", [few_at_a_time(search_seconds=0)], ids=["out-of-time"])
async def test_a_page_that_runs_out_of_time_leads_to_the_rest(ada: Person) -> None:
    for number in range(20):
        await ada.add(f"{'rare' if number == 2 else 'common'} {number}")

    seen, sizes, path = list[str](), list[int](), "/posts?q=rare&limit=5"
    while path:
        response = await ada.get(path)
        assert response.status_code == 200
        sizes.append(len(response.json()))
        seen, path = seen + texts(response), next_of(response)

    assert seen == ["rare 2"]
    assert sizes[0] == 0
    assert len(sizes) > 3


@pytest.mark.parametrize("policies", [few_at_a_time(search_seconds=0)], ids=["out-of-time"])
async def test_a_search_for_all_at_once_that_runs_out_of_time_is_refused(ada: Person) -> None:
    for number in range(20):
        await ada.add(f"common {number}")

    refused = await ada.get("/posts?q=rare")
    assert_problem(refused, 503)
    assert refused.json()["type"] == "urn:problem-type:postline:search-timed-out"
    assert len(await ada.texts()) == 20
    assert texts(await search(ada, q="common", cursor=3)) == ["common 1", "common 0"]


@pytest.mark.parametrize("policies", [few_at_a_time(max_held_bytes=100, overhead_bytes=0)], ids=["little-held"])
async def test_matches_too_large_to_hold_are_streamed_or_make_a_shorter_page(ada: Person) -> None:
    for number in range(12):
        await ada.add(f"{'match' if number % 2 else 'other'} {number} ".ljust(40, "x"))
    expected = [text for text in await ada.texts() if "match" in text]

    for _ in range(2):
        whole = await search(ada, q="MATCH")
        assert (texts(whole), whole.headers["etag"]) == (expected, '"12"')
        assert (whole.headers["cache-status"], next_of(whole)) == (MISS, "")
    # More than the snapshots that one account may have.
    heads = [await ada.request("HEAD", "/posts?q=match") for _ in range(4)]
    assert [(head.status_code, head.content) for head in heads] == [(200, b"")] * 4
    seen, sizes, path = list[str](), list[int](), "/posts?q=match&limit=5"
    while path:
        response = await ada.get(path)
        sizes.append(len(response.json()))
        seen, path = seen + texts(response), next_of(response)

    assert seen == expected
    assert sizes == [2, 2, 2]


@pytest.mark.parametrize("policies", [few_at_a_time(max_held_bytes=150, overhead_bytes=0)], ids=["little-held"])
async def test_a_page_that_is_larger_as_json_than_may_be_held_is_sent_all_the_same(ada: Person) -> None:
    for number in range(3):
        await ada.add(f"{number}" + "\x01" * 60)

    page = await search(ada, q="\x01", limit=2)

    assert texts(page) == ["2" + "\x01" * 60, "1" + "\x01" * 60]
    assert texts(await ada.get(next_of(page))) == ["0" + "\x01" * 60]
