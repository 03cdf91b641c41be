"""`If-Match` and `If-None-Match`, which every method honours that reads or changes what has an `ETag`."""

import asyncio
from typing import Any

import pytest
from httpx import AsyncClient, Response
from litestar import Litestar
from uuid_utils.compat import uuid7

from tests.api.conftest import Fired
from tests.api.people import Person, assert_problem

READS = ["GET", "HEAD"]
CHANGES = ["PATCH", "DELETE"]
# Of a post at version 2, whose owner's timeline is at version 3.
HOLD_FOR_2 = [
    {"if-match": '"2"'},
    {"if-match": "*"},
    {"if-match": '"1", "2"'},
    {"if-none-match": '"1"'},
    {"if-none-match": '"1", W/"3", "2x"'},
    {"if-none-match": "2"},
    {"if-match": '"2"', "if-none-match": '"1"'},
]
FAIL_FOR_2 = [
    {"if-match": '"1"'},
    {"if-match": '"999"'},
    {"if-match": 'W/"2"'},
    {"if-match": '"1", W/"2"'},
    {"if-match": '"02"'},
    {"if-match": ""},
    {"if-match": '"1"', "if-none-match": '"1"'},
]
# For reads these are a 304.
NAME_2 = [
    {"if-none-match": "*"},
    {"if-none-match": '"2"'},
    {"if-none-match": 'W/"2"'},
    {"if-none-match": '"1", W/"2"'},
    {"if-match": '"2"', "if-none-match": '"2"'},
    {"if-match": "*", "if-none-match": "*"},
]


def of_timeline(headers: dict[str, str]) -> dict[str, str]:
    """Return the same conditions, on version 3 instead of 2."""
    return {name: value.replace("3", "9").replace("2", "3") for name, value in headers.items()}


def body_of(method: str) -> dict[str, Any]:
    return {"json": {"text": "changed"}} if method in {"PATCH", "POST"} else {}


def assert_refused(response: Response, method: str) -> None:
    if method == "HEAD":
        assert (response.status_code, response.content) == (412, b"")
    else:
        assert_problem(response, 412)
        assert response.json()["type"] == "urn:problem-type:postline:precondition-failed"


@pytest.fixture
async def post(ada: Person) -> str:
    """The address of a post at version 2."""
    await ada.add("another")
    post_id = await ada.add("first")
    await ada.request("PATCH", f"/posts/{post_id}", json={"text": "second"})
    return f"/posts/{post_id}"


@pytest.mark.parametrize("method", READS)
async def test_a_post_is_read_as_its_conditions_demand(ada: Person, post: str, method: str) -> None:
    for headers in HOLD_FOR_2:
        assert (await ada.request(method, post, headers=headers)).status_code == 200, headers
    for headers in FAIL_FOR_2:
        assert_refused(await ada.request(method, post, headers=headers), method)
    for headers in NAME_2:
        known = await ada.request(method, post, headers=headers)
        assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", '"2"'), headers


@pytest.mark.parametrize("path", ["/posts", "/posts?limit=1", "/posts?limit=1000"])
@pytest.mark.parametrize("method", READS)
async def test_a_list_is_read_as_its_conditions_demand(ada: Person, post: str, method: str, path: str) -> None:
    for _ in ("uncached", "cached"):
        for headers in map(of_timeline, FAIL_FOR_2):
            assert_refused(await ada.request(method, path, headers=headers), method)
        for headers in map(of_timeline, NAME_2):
            known = await ada.request(method, path, headers=headers)
            assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", '"3"'), headers
            assert known.headers["cache-status"].startswith("postline; ")
        for headers in map(of_timeline, HOLD_FOR_2):
            assert (await ada.request(method, path, headers=headers)).status_code == 200, headers


@pytest.mark.parametrize("method", CHANGES)
@pytest.mark.parametrize("headers", FAIL_FOR_2 + NAME_2)
async def test_a_post_is_not_changed_where_a_condition_fails(
    ada: Person, post: str, fired: Fired, method: str, headers: dict[str, str]
) -> None:
    fired.take()

    assert_refused(await ada.request(method, post, headers=headers, **body_of(method)), method)

    assert fired.take() == []
    assert (await ada.get("/posts")).headers["etag"] == '"3"'
    assert (await ada.get(post)).json()["text"] == "second"


@pytest.mark.parametrize("method", CHANGES)
@pytest.mark.parametrize("headers", HOLD_FOR_2)
async def test_a_post_is_changed_where_all_conditions_hold(
    ada: Person, post: str, fired: Fired, method: str, headers: dict[str, str]
) -> None:
    fired.take()

    response = await ada.request(method, post, headers=headers, **body_of(method))

    assert response.status_code == (200 if method == "PATCH" else 204)
    assert [version for _, version in fired.take()] == [4]


@pytest.mark.parametrize("key", [{}, {"idempotency-key": "k"}])
async def test_a_post_is_added_only_where_the_conditions_on_the_timeline_hold(
    ada: Person, post: str, fired: Fired, key: dict[str, str]
) -> None:
    fired.take()

    for headers in map(of_timeline, FAIL_FOR_2 + NAME_2):
        assert_refused(await ada.request("POST", "/posts", headers=headers | key, json={"text": "x"}), "POST")
    assert fired.take() == []
    added = await ada.request("POST", "/posts", headers={"if-match": '"3"'} | key, json={"text": "x"})
    assert added.status_code == 201
    assert fired.take() == [("post.created", 4)]


async def test_a_retry_is_answered_although_its_own_first_attempt_made_the_condition_fail(
    ada: Person, fired: Fired
) -> None:
    headers = {"if-match": '"0"', "idempotency-key": "k"}
    first = await ada.request("POST", "/posts", headers=headers, json={"text": "x"})

    again = await ada.request("POST", "/posts", headers=headers, json={"text": "x"})

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotency-replayed"] == "true"
    assert fired.take() == [("post.created", 1)]


async def test_of_several_writers_with_one_condition_one_succeeds(ada: Person, fired: Fired) -> None:
    answers = await asyncio.gather(
        *(ada.request("POST", "/posts", headers={"if-match": '"0"'}, json={"text": f"{n}"}) for n in range(8))
    )

    assert sorted(answer.status_code for answer in answers) == [201] + [412] * 7
    assert fired.take() == [("post.created", 1)]


@pytest.mark.parametrize("headers", [{"if-none-match": "*"}, {"if-match": '"9"'}, {"if-match": '"1"'}])
@pytest.mark.parametrize("method", READS + CHANGES)
async def test_a_condition_does_not_hide_that_there_is_no_such_post(
    ada: Person, bob: Person, method: str, headers: dict[str, str]
) -> None:
    post_id = await ada.add("private")

    for missing in (f"/posts/{post_id}", f"/posts/{uuid7()}"):
        assert (await bob.request(method, missing, headers=headers, **body_of(method))).status_code == 404
    assert await ada.texts() == ["private"]


@pytest.mark.parametrize("headers", [{"if-none-match": "*"}, {"if-match": '"9"'}])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_condition_opens_nothing_without_a_token(
    client: AsyncClient, method: str, headers: dict[str, str]
) -> None:
    assert_problem(await client.request(method, "/posts", headers=headers), 401)


async def test_a_request_that_is_invalid_is_told_so_whatever_its_conditions(ada: Person, post: str) -> None:
    false = {"if-match": '"999"'}

    assert_problem(await ada.request("PATCH", post, headers=false, json={"text": ""}), 400, "text")
    assert_problem(await ada.request("POST", "/posts", headers=false, json={"text": ""}), 400, "text")
    assert_problem(await ada.get("/posts?limit=x", headers=false), 400, "limit")


@pytest.mark.parametrize("path", ["/static/page.js", "/docs/assets/swagger-ui.css"])
@pytest.mark.parametrize("method", READS)
async def test_a_file_is_read_as_its_conditions_demand(client: AsyncClient, method: str, path: str) -> None:
    sent = await client.get(path)
    tag, modified = sent.headers["etag"], sent.headers["last-modified"]
    earlier, later = "Sat, 01 Jan 2000 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"

    async def status(**headers: str) -> int:
        sent_headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return (await client.request(method, path, headers=sent_headers)).status_code

    assert await status(if_match=tag) == 200
    assert await status(if_match="*") == 200
    assert await status(if_match='"another"') == 412
    assert await status(if_match=f"W/{tag}") == 412
    assert await status(if_match='"another"', if_none_match=tag) == 412
    assert await status(if_match=tag, if_none_match=f"W/{tag}") == 304
    assert await status(if_modified_since=modified) == 304
    assert await status(if_modified_since=earlier) == 200
    assert await status(if_modified_since="yesterday") == 200
    assert await status(if_modified_since=later, if_none_match='"another"') == 200
    assert await status(if_unmodified_since=modified) == 200
    assert await status(if_unmodified_since=earlier) == 412
    assert await status(if_unmodified_since=earlier, if_match=tag) == 200
    assert await status(if_unmodified_since="yesterday") == 200


async def test_the_page_is_read_as_its_conditions_demand(client: AsyncClient) -> None:
    tag = (await client.get("/")).headers["etag"]

    assert (await client.get("/", headers={"if-none-match": f"W/{tag}"})).status_code == 304
    assert (await client.get("/", headers={"if-match": tag})).status_code == 200
    assert (await client.get("/", headers={"if-match": '"another"'})).status_code == 412


@pytest.mark.parametrize("condition", ["if-modified-since", "if-unmodified-since"])
@pytest.mark.parametrize("date", ["Sat, 01 Jan 2000 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"])
async def test_dates_are_no_condition_on_what_has_no_date(ada: Person, post: str, condition: str, date: str) -> None:
    assert (await ada.get(post, headers={condition: date})).status_code == 200
    assert (await ada.get("/posts", headers={condition: date})).status_code == 200
    assert (await ada.request("DELETE", post, headers={condition: date})).status_code == 204


@pytest.mark.parametrize(("tag", "status"), [('"5"', 304), ('"9"', 200)])
async def test_a_list_that_is_streamed_is_read_only_as_far_as_it_is_sent(
    ada: Person, app: Litestar, tag: str, status: int
) -> None:
    for number in range(5):
        await ada.add(f"{number}" + "x" * 1_000_000)

    page = "/posts?limit=1000"
    assert (await ada.get(page, headers={"if-none-match": tag})).status_code == status
    assert (await ada.get(page, headers={"if-match": '"4"'})).status_code == 412
    assert (await ada.get("/posts", headers={"if-match": '"4"'})).status_code == 412
    assert len((await ada.get(page, headers={"if-match": '"5"'})).json()) == 5
