"""Every address says what it takes, and answers HEAD as it would answer GET."""

import asyncio

import pytest
from httpx import AsyncClient

from tests.api.conftest import Fired
from tests.api.people import Person, assert_problem

METHODS = [
    ("/posts", {"GET", "HEAD", "POST", "OPTIONS"}),
    ("/posts/01a20544-8f6d-7250-9b81-05646f62c3bb", {"GET", "HEAD", "PATCH", "DELETE", "OPTIONS"}),
    ("/posts/events", {"GET", "HEAD", "OPTIONS"}),
    ("/me", {"GET", "HEAD", "DELETE", "OPTIONS"}),
    ("/auth/login", {"POST", "OPTIONS"}),
    ("/auth/sessions", {"GET", "HEAD", "DELETE", "OPTIONS"}),
    ("/docs", {"GET", "HEAD", "OPTIONS"}),
    ("/docs/assets/swagger-ui.css", {"GET", "HEAD", "OPTIONS"}),
]


def named(allow: str) -> set[str]:
    return set(allow.split(", "))


@pytest.mark.parametrize(("path", "methods"), METHODS)
async def test_options_names_every_method_of_an_address(client: AsyncClient, path: str, methods: set[str]) -> None:
    response = await client.options(path)

    assert (response.status_code, response.content) == (204, b"")
    assert named(response.headers["allow"]) == methods


@pytest.mark.parametrize(("path", "methods"), METHODS)
async def test_a_method_that_an_address_does_not_take_is_told_so(
    client: AsyncClient, path: str, methods: set[str]
) -> None:
    response = await client.request("PUT", path)

    assert_problem(response, 405)
    assert named(response.headers["allow"]) == methods


@pytest.mark.parametrize("path", ["/posts", "/posts?limit=1", "/me", "/auth/sessions", "/me/export", "/openapi.json"])
async def test_head_answers_as_get_but_for_the_body(ada: Person, fired: Fired, path: str) -> None:
    await ada.add("hello")
    fired.take()

    same_id = {"x-request-id": "one-id-for-both"}
    head = await ada.request("HEAD", path, headers=same_id)
    got = await ada.get(path, headers=same_id)

    assert (head.status_code, head.content) == (200, b"")
    assert got.content != b""
    assert dict(head.headers) | {"cache-status": ""} == dict(got.headers) | {"cache-status": ""}
    assert fired.take() == []


async def test_a_list_asked_for_by_head_is_still_whole_when_it_comes_from_the_cache(ada: Person) -> None:
    await ada.add("hello")

    await ada.request("HEAD", "/posts")

    assert await ada.texts() == ["hello"]


async def test_head_of_an_endless_stream_ends(ada: Person) -> None:
    async with asyncio.timeout(5):
        response = await ada.request("HEAD", "/posts/events")

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"].startswith("text/event-stream")


async def test_head_knows_the_condition_of_a_read(ada: Person) -> None:
    post_id = await ada.add("hello")

    assert (await ada.request("HEAD", f"/posts/{post_id}", headers={"if-none-match": '"1"'})).status_code == 304
    assert (await ada.request("HEAD", "/posts", headers={"if-none-match": '"1"'})).status_code == 304


async def test_head_opens_nothing_without_a_token(client: AsyncClient) -> None:
    assert (await client.head("/posts")).status_code == 401


async def test_patch_takes_a_merge_patch_and_says_what_it_takes(client: AsyncClient, ada: Person) -> None:
    path = f"/posts/{await ada.add('hello')}"
    merge_patch = {"content-type": "application/merge-patch+json"}

    taken = await ada.request("PATCH", path, content=b'{"text":"goodbye"}', headers=merge_patch)
    refused = await ada.request("PATCH", path, content=b"text", headers={"content-type": "text/plain"})
    elsewhere = await ada.request("POST", "/posts", content=b'{"text":"hello"}', headers=merge_patch)

    assert (taken.status_code, taken.json()["text"]) == (200, "goodbye")
    assert_problem(refused, 415)
    assert_problem(elsewhere, 415)
    told = {response.headers.get("accept-patch") for response in (refused, await client.options(path))}
    assert told == {"application/json, application/merge-patch+json"}
    assert "accept-patch" not in elsewhere.headers
