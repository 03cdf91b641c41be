"""What one account may have at once: beyond it, an answer says when to try again, and others are served."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx import AsyncClient, Response
from litestar import Litestar

from app.service import Policies, Service
from app.shares import Turns
from app.storage.policy import ListPolicy, StoragePolicy
from tests.api.people import PASSWORD, Person, assert_problem


@asynccontextmanager
async def all_taken(turns: Turns, person: Person) -> AsyncIterator[None]:
    """Take the person's turns, and let one request of theirs wait, but no second."""
    user_id = UUID((await person.get("/me")).json()["user_id"])
    turns.max_waiting = 1
    async with AsyncExitStack() as stack:
        for _ in range(turns.per_key):
            await stack.enter_async_context(turns.of(user_id))
        yield


async def assert_waits_and_then_refuses(turns: Turns, ada: Person, bob: Person, ask: Any) -> Response:
    """Check that one request of hers waits, the next is refused, and his is served; return the first's answer."""
    async with all_taken(turns, ada):
        waiting = asyncio.create_task(ask(ada))
        await asyncio.sleep(0.05)
        refused = await ask(ada)
        assert_problem(refused, 429)
        assert refused.headers["retry-after"] == "1"
        assert (await ask(bob)).is_success
        assert not waiting.done()
    answer: Response = await asyncio.wait_for(waiting, 10)
    assert turns.used == 0
    return answer


async def post_with_key(person: Person) -> Response:
    return await person.request("POST", "/posts", json={"text": "hi"}, headers={"idempotency-key": uuid4().hex})


async def post_a_long_text(person: Person) -> Response:
    return await person.request("POST", "/posts", json={"text": "x" * 20_000})


async def edit(person: Person) -> Response:
    return await person.request("PATCH", f"/posts/{await person.add('before')}", json={"text": "after"})


async def remove(person: Person) -> Response:
    return await person.request("DELETE", f"/posts/{await person.add('short-lived')}")


async def register(person: Person) -> Response:
    form = {"url": "https://93.184.216.34/", "events": ["post.created"]}
    return await person.request("POST", "/webhooks", json=form)


async def change_password(person: Person) -> Response:
    form = {"current_password": PASSWORD, "new_password": PASSWORD + "!"}
    return await person.request("PUT", "/me/password", json=form)


@pytest.mark.parametrize("write", [post_with_key, post_a_long_text, edit, remove, register, change_password])
async def test_writes_of_one_account_wait_for_each_other(app: Litestar, ada: Person, bob: Person, write: Any) -> None:
    service: Service = app.state.service

    answer = await assert_waits_and_then_refuses(service.transactions.turns, ada, bob, write)

    assert answer.is_success, answer.text


async def test_short_posts_share_transactions_and_need_no_turn(app: Litestar, ada: Person) -> None:
    async with all_taken(app.state.service.transactions.turns, ada):
        await ada.add("hello")


@pytest.mark.parametrize("path", ["/me", "/auth/sessions", "/webhooks", "/posts?limit=1"])
async def test_reads_of_one_account_wait_for_each_other(app: Litestar, ada: Person, bob: Person, path: str) -> None:
    service: Service = app.state.service

    answer = await assert_waits_and_then_refuses(service.database.read_turns, ada, bob, lambda person: person.get(path))

    assert answer.status_code == 200


async def test_lists_that_the_cache_holds_need_no_turn(app: Litestar, ada: Person) -> None:
    await ada.add("hello")
    before = await ada.texts()
    async with all_taken(app.state.service.database.read_turns, ada):
        assert await ada.texts() == before


@pytest.mark.parametrize(
    "policies", [Policies(storage=StoragePolicy(lists=ListPolicy(max_held_bytes=3000, small_posts=0)))]
)
@pytest.mark.parametrize(("path", "kind"), [("/posts", "list"), ("/me/export", "export")])
async def test_snapshots_of_one_account_wait_for_each_other(
    app: Litestar, ada: Person, bob: Person, path: str, kind: str
) -> None:
    for person in (ada, bob):
        for _ in range(4):
            await person.add("x" * 1000)

    answer = await assert_waits_and_then_refuses(
        app.state.service.database.snapshot_turns, ada, bob, lambda person: person.get(path)
    )

    assert answer.content.count(b"postID") == 4, kind


@pytest.mark.parametrize("policies", [Policies(storage=StoragePolicy(lists=ListPolicy(max_held_bytes=5000)))])
async def test_a_list_that_json_makes_larger_is_streamed_and_not_cached(client: AsyncClient, ada: Person) -> None:
    await ada.add("\x01" * 1000)
    for _ in range(2):
        answer = await ada.get("/posts")
        assert answer.json()[0]["text"] == "\x01" * 1000
        assert answer.headers["cache-status"] == "postline; fwd=miss"
        assert answer.headers["etag"] == '"1"'
        assert "content-length" not in answer.headers
    assert (await ada.get("/posts", headers={"if-none-match": '"1"'})).status_code == 304


async def test_the_shares_are_among_the_metrics(client: AsyncClient) -> None:
    told = (await client.get("/metrics")).text

    for share in ("reads", "writes", "snapshots", "feeds", "bytes of answers", "bytes of spooled answers"):
        assert f'postline_share_used{{share="{share}"}} 0.0' in told
        assert f'postline_share_refused_total{{share="{share}"}} 0.0' in told
