"""A repeated `POST /posts` with the same `Idempotency-Key` adds one post."""

import asyncio
from datetime import timedelta

import pytest
from httpx import Response

from models import IdempotencyKey
from tests.api.conftest import Fired
from tests.api.people import Person, assert_problem


async def add(person: Person, text: str, key: str) -> Response:
    return await person.request("POST", "/posts", json={"text": text}, headers={"idempotency-key": key})


async def test_a_repetition_gets_the_first_answer_and_adds_nothing(ada: Person, fired: Fired) -> None:
    first = await add(ada, "hello", "key")
    assert "idempotency-replayed" not in first.headers
    assert fired.take() == [("post.created", 1)]

    again = await add(ada, "hello", "key")

    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert fired.take() == []
    assert await ada.texts() == ["hello"]
    assert (await ada.get("/posts")).headers["etag"] == '"1"'


async def test_a_key_with_another_body_is_refused(ada: Person, fired: Fired) -> None:
    await add(ada, "hello", "key")
    fired.take()

    assert_problem(await add(ada, "goodbye", "key"), 422)
    assert fired.take() == []
    assert await ada.texts() == ["hello"]


async def test_another_key_and_no_key_add_another_post(ada: Person) -> None:
    await add(ada, "hello", "one")
    await add(ada, "hello", "ONE")
    await ada.add("hello")
    await ada.add("hello")

    assert len(await ada.texts()) == 4


async def test_a_key_is_one_persons_own(ada: Person, bob: Person) -> None:
    first = await add(ada, "hello", "key")
    second = await add(bob, "hello", "key")

    assert "idempotency-replayed" not in second.headers
    assert first.json() != second.json()


async def test_a_repetition_after_the_post_is_gone_adds_it_no_second_time(ada: Person) -> None:
    first = await add(ada, "hello", "key")
    await ada.request("DELETE", first.headers["location"])

    again = await add(ada, "hello", "key")

    assert (again.status_code, again.json()) == (201, first.json())
    assert await ada.texts() == []


async def test_a_request_that_failed_leaves_no_key(ada: Person) -> None:
    assert_problem(await add(ada, "", "key"), 400, "text")

    retried = await add(ada, "hello", "key")

    assert retried.status_code == 201
    assert "idempotency-replayed" not in retried.headers


async def test_requests_at_once_add_one_post_and_are_all_answered(ada: Person, fired: Fired) -> None:
    answers = await asyncio.gather(*(add(ada, "hello", "key") for _ in range(8)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["postID"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert fired.take() == [("post.created", 1)]
    assert await ada.texts() == ["hello"]


async def test_after_a_day_a_key_is_new_again(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await add(ada, "hello", "key")
    monkeypatch.setattr(IdempotencyKey, "lifetime", timedelta(0))

    second = await add(ada, "goodbye", "key")

    assert second.status_code == 201
    assert second.json() != first.json()
    monkeypatch.undo()
    assert (await add(ada, "goodbye", "key")).json() == second.json()


@pytest.mark.parametrize("key", ["", "k" * 256, "a b", "\x7f"])
async def test_a_key_that_can_not_be_kept_is_refused(ada: Person, fired: Fired, key: str) -> None:
    response = await ada.request("POST", "/posts", json={"text": "hello"}, headers={"idempotency-key": key})

    assert_problem(response, 400, "Idempotency-Key")
    assert fired.take() == []


@pytest.mark.parametrize("key", ['"8e03978e-40d5-43dd-bc93-6894a57f9324"', "k" * 254, "k" * 255, "~!@#$%^&*()"])
async def test_any_other_key_is_taken(ada: Person, key: str) -> None:
    assert (await add(ada, "hello", key)).status_code == 201
    assert (await add(ada, "hello", key)).headers["idempotency-replayed"] == "true"


async def test_long_keys_that_differ_at_their_ends_are_two_keys(ada: Person) -> None:
    first = await add(ada, "hello", "k" * 254 + "1")
    second = await add(ada, "hello", "k" * 254 + "2")

    assert first.json() != second.json()
    assert "idempotency-replayed" not in second.headers


async def test_a_repeated_edit_is_answered_as_the_first_and_edits_no_second_time(ada: Person, fired: Fired) -> None:
    post_id = await ada.add("hello")
    edit = {"json": {"text": "again"}, "headers": {"idempotency-key": "key", "if-match": '"1"'}}
    first = await ada.request("PATCH", f"/posts/{post_id}", **edit)
    await ada.request("PATCH", f"/posts/{post_id}", json={"text": "and again"})
    fired.take()

    again = await ada.request("PATCH", f"/posts/{post_id}", **edit)

    assert (again.status_code, again.json(), again.headers["etag"]) == (200, first.json(), '"2"')
    assert (first.headers["timeline-version"], again.headers["timeline-version"]) == ("2", "2")
    assert again.headers["idempotency-replayed"] == "true"
    assert fired.take() == []
    assert await ada.texts() == ["and again"]


async def test_a_repeated_deletion_is_answered_as_the_first(ada: Person, bob: Person, fired: Fired) -> None:
    post_id = await ada.add("hello")
    key = {"headers": {"idempotency-key": "key"}}
    first = await ada.request("DELETE", f"/posts/{post_id}", **key)
    fired.take()

    again = await ada.request("DELETE", f"/posts/{post_id}", **key)

    assert (first.status_code, again.status_code, again.content) == (204, 204, b"")
    assert (first.headers["timeline-version"], again.headers["timeline-version"]) == ("2", "2")
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert fired.take() == []
    assert (await bob.request("DELETE", f"/posts/{post_id}", **key)).status_code == 404


async def test_a_repeated_registration_adds_no_second_webhook(ada: Person) -> None:
    form = {"json": {"url": "https://93.184.215.14/hook"}, "headers": {"idempotency-key": "key"}}
    first = await ada.request("POST", "/webhooks", **form)

    again = await ada.request("POST", "/webhooks", **form)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert len((await ada.get("/webhooks")).json()) == 1
    await ada.request("DELETE", f"/webhooks/{first.json()['id']}")
    assert_problem(await ada.request("POST", "/webhooks", **form), 404)


async def test_a_key_that_named_one_request_names_no_other(ada: Person, fired: Fired) -> None:
    one, other = await ada.add("one"), await ada.add("other")
    key = {"idempotency-key": "key"}
    await ada.request("PATCH", f"/posts/{one}", json={"text": "x"}, headers=key)
    fired.take()

    for method, path, body in (
        ("PATCH", f"/posts/{one}", {"text": "y"}),
        ("PATCH", f"/posts/{other}", {"text": "x"}),
        ("DELETE", f"/posts/{one}", None),
        ("POST", "/posts", {"text": "x"}),
        ("POST", "/posts/batch", {"operations": [{"op": "update", "postID": one, "text": "x"}]}),
        ("POST", "/webhooks", {"url": "https://93.184.215.14/hook"}),
    ):
        assert_problem(await ada.request(method, path, json=body, headers=key), 422)
    assert fired.take() == []


async def test_every_write_tells_the_version_that_it_made(ada: Person) -> None:
    added = await ada.request("POST", "/posts", json={"text": "hello"})
    path = added.headers["location"]
    edited = await ada.request("PATCH", path, json={"text": "again"})
    keyed = await add(ada, "keyed", "key")
    deleted = await ada.request("DELETE", path)
    repeated = await add(ada, "keyed", "key")

    answers = (added, edited, keyed, deleted, repeated)
    assert [answer.headers["timeline-version"] for answer in answers] == ["1", "2", "3", "4", "3"]
    assert "timeline-version" not in (await ada.request("PATCH", path, json={"text": "x"})).headers
