"""Adding, reading, editing and deleting one post."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from tests.api.conftest import Fired
from tests.api.people import Person, assert_problem
from tests.conftest import on_every_database
from tests.factories import TEXTS

pytestmark = on_every_database


async def test_an_added_post_is_answered_with_its_id_and_address(ada: Person, fired: Fired) -> None:
    response = await ada.request("POST", "/posts", json={"text": "hello"})

    assert response.status_code == 201
    assert list(response.json()) == ["postID"]
    post_id = response.json()["postID"]
    assert UUID(post_id).version == 7
    assert response.headers["location"] == f"/posts/{post_id}"
    assert fired.take() == [("post.created", 1)]


@pytest.mark.parametrize("text", TEXTS)
async def test_a_post_reads_as_it_was_written(ada: Person, text: str, fired: Fired) -> None:
    post_id = await ada.add(text)
    fired.take()

    response = await ada.get(f"/posts/{post_id}")

    assert response.status_code == 200
    post = response.json()
    assert set(post) == {"postID", "text", "created_at", "updated_at", "version"}
    assert (post["postID"], post["text"], post["version"]) == (post_id, text, 1)
    assert post["created_at"] == post["updated_at"]
    assert post["created_at"].endswith("Z")
    assert response.headers["etag"] == '"1"'
    assert fired.take() == []


async def test_a_post_that_the_client_has_is_not_sent_again(ada: Person) -> None:
    post_id = await ada.add("hello")

    response = await ada.get(f"/posts/{post_id}", headers={"if-none-match": '"1"'})

    assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", '"1"')
    assert (await ada.get(f"/posts/{post_id}", headers={"if-none-match": '"2"'})).status_code == 200


async def test_an_edit_replaces_the_text_and_counts_the_version_up(ada: Person, fired: Fired) -> None:
    post_id = await ada.add("before")
    before = (await ada.get(f"/posts/{post_id}")).json()
    fired.take()

    response = await ada.request("PATCH", f"/posts/{post_id}", json={"text": "after"})

    assert response.status_code == 200
    after = response.json()
    assert (after["text"], after["version"], after["created_at"]) == ("after", 2, before["created_at"])
    assert after["updated_at"] > before["updated_at"]
    assert response.headers["etag"] == '"2"'
    assert (await ada.get(f"/posts/{post_id}")).json() == after
    assert fired.take() == [("post.updated", 2)]


async def test_an_edit_of_a_version_that_is_gone_changes_nothing(ada: Person, fired: Fired) -> None:
    post_id = await ada.add("first")
    edit = {"json": {"text": "second"}, "headers": {"if-match": '"1"'}}
    assert (await ada.request("PATCH", f"/posts/{post_id}", **edit)).status_code == 200
    fired.take()

    late = await ada.request("PATCH", f"/posts/{post_id}", json={"text": "third"}, headers={"if-match": '"1"'})

    assert_problem(late, 412)
    assert await ada.texts() == ["second"]
    assert fired.take() == []


async def test_a_deleted_post_is_gone(ada: Person, fired: Fired) -> None:
    post_id = await ada.add("hello")
    fired.take()

    response = await ada.request("DELETE", f"/posts/{post_id}")

    assert (response.status_code, response.content) == (204, b"")
    assert fired.take() == [("post.deleted", 2)]
    assert_problem(await ada.get(f"/posts/{post_id}"), 404)
    assert_problem(await ada.request("DELETE", f"/posts/{post_id}"), 404)
    assert fired.take() == []


async def test_a_delete_of_a_version_that_is_gone_deletes_nothing(ada: Person, fired: Fired) -> None:
    post_id = await ada.add("hello")
    fired.take()

    assert_problem(await ada.request("DELETE", f"/posts/{post_id}", headers={"if-match": '"2"'}), 412)
    assert fired.take() == []
    assert (await ada.request("DELETE", f"/posts/{post_id}", headers={"if-match": '"1"'})).status_code == 204


async def test_conditions_may_be_spread_over_several_lines(ada: Person) -> None:
    post_id = await ada.add("hello")
    sender = ("authorization", f"Bearer {ada.tokens['access_token']}")

    async def send(method: str, path: str, name: str) -> int:
        lines = [sender, (name, '"7"'), (name, '"1"')]
        return (await ada.client.request(method, path, headers=lines)).status_code

    assert await send("GET", "/posts", "if-none-match") == 304
    assert await send("GET", "/posts?limit=1", "if-none-match") == 304
    assert await send("GET", f"/posts/{post_id}", "if-none-match") == 304
    assert await send("DELETE", f"/posts/{post_id}", "if-match") == 204


@pytest.mark.parametrize("header", ['"01"', 'x"1"', '"7"x"1"', '*, "1"', ""])
async def test_a_condition_that_can_not_be_read_is_not_met(ada: Person, fired: Fired, header: str) -> None:
    post_id = await ada.add("hello")
    fired.take()

    for method, body in (("PATCH", {"json": {"text": "changed"}}), ("DELETE", {})):
        refused = await ada.request(method, f"/posts/{post_id}", headers={"if-match": header}, **body)
        assert_problem(refused, 412)
    assert await ada.texts() == ["hello"]
    assert fired.take() == []


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_someone_elses_post_answers_as_a_missing_one(ada: Person, bob: Person, fired: Fired, method: str) -> None:
    post_id = await ada.add("private")
    fired.take()
    body = {"json": {"text": "mine now"}} if method == "PATCH" else {}

    theirs = await bob.request(method, f"/posts/{post_id}", **body)
    missing = await bob.request(method, f"/posts/{uuid7()}", **body)

    assert_problem(theirs, 404)
    assert_problem(missing, 404)
    assert set(theirs.headers) == set(missing.headers)
    assert {**theirs.json(), "detail": ""} == {**missing.json(), "detail": ""}
    assert fired.take() == []
    assert await ada.texts() == ["private"]


@pytest.mark.parametrize("header", ['"1"', '"9"', "*"])
async def test_a_condition_does_not_tell_of_someone_elses_post(ada: Person, bob: Person, header: str) -> None:
    post_id = await ada.add("private")

    assert_problem(await bob.request("DELETE", f"/posts/{post_id}", headers={"if-match": header}), 404)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"text": ""}, ["text"]),
        ({"text": "a\x00b"}, ["text"]),
        ({"text": 5}, ["text"]),
        ({"text": None}, ["text"]),
        ({}, ["text"]),
        ({"text": "a", "user_id": "x"}, ["user_id"]),
        ({"text": "a", "data": 1}, ["data"]),
        ([], ["body"]),
        ("text", ["body"]),
        (None, ["body"]),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_an_invalid_body_names_its_fields(
    ada: Person, fired: Fired, method: str, body: object, fields: list[str]
) -> None:
    post_id = await ada.add("hello")
    fired.take()
    path = "/posts" if method == "POST" else f"/posts/{post_id}"

    assert_problem(await ada.request(method, path, json=body), 400, *fields)
    assert fired.take() == []


@pytest.mark.parametrize(
    "body",
    [b'{"text":', b"\xff\xfe", b'{"text": "\\ud800"}', b'{"text": "\xed\xa0\x80"}', b"{'text': 'a'}", b"[" * 100_000],
)
async def test_what_is_no_json_is_refused(ada: Person, fired: Fired, body: bytes) -> None:
    response = await ada.request("POST", "/posts", content=body, headers={"content-type": "application/json"})

    assert_problem(response, 400)
    assert fired.take() == []


async def test_no_body_is_refused(ada: Person, fired: Fired) -> None:
    assert_problem(await ada.request("POST", "/posts", headers={"content-type": "application/json"}), 400, "body")
    assert fired.take() == []


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml"])
async def test_a_body_that_is_not_declared_as_json_is_refused(ada: Person, fired: Fired, media_type: str) -> None:
    response = await ada.request("POST", "/posts", content=b'{"text":"a"}', headers={"content-type": media_type})

    assert_problem(response, 415)
    assert fired.take() == []


def body_of(size: int) -> bytes:
    return b'{"text":"' + b"x" * (size - 11) + b'"}'


async def test_a_body_of_one_mebibyte_is_taken(ada: Person, fired: Fired) -> None:
    body = body_of(1_048_576)
    response = await ada.request("POST", "/posts", content=body, headers={"content-type": "application/json"})

    assert response.status_code == 201
    assert await ada.texts() == ["x" * (1_048_576 - 11)]
    assert fired.take() == [("post.created", 1)]


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_one_byte_more_is_not(ada: Person, fired: Fired, is_chunked: bool) -> None:
    body = body_of(1_048_577)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    response = await ada.request(
        "POST", "/posts", content=chunks() if is_chunked else body, headers={"content-type": "application/json"}
    )

    assert_problem(response, 413)
    assert fired.take() == []


@pytest.mark.parametrize("post_id", ["1", "not-a-uuid", "%00", "..%2f..", "01a20544-8f6d-7250-9b81"])
async def test_an_address_that_is_no_post_id_is_not_found(ada: Person, post_id: str) -> None:
    assert_problem(await ada.get(f"/posts/{post_id}"), 404)
