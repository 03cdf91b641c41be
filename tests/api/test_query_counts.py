"""What each request costs in statements; one more is a change somebody should have meant."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from unittest.mock import patch

import pytest
from litestar import Litestar
from sqlalchemy import event

from app.auth.personal_tokens import issue
from app.database.driver_pool import DriverPool
from tests.api.people import Person

# Set where the request runs, and not where the relay does, which is at work at the same time.
_is_counting = ContextVar("is_counting", default=False)


@contextmanager
def counted(app: Litestar) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if _is_counting.get():
            statements.append(statement.split(maxsplit=1)[0])

    engines = [engine.sync_engine for engine in app.state.service.database.engines.values()]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    rows = DriverPool.rows

    async def noted_rows(pool: DriverPool, statement: str) -> Sequence[tuple[Any, ...]]:
        note(None, None, statement)
        return await rows(pool, statement)

    token = _is_counting.set(True)
    with patch.object(DriverPool, "rows", noted_rows):
        yield statements
    _is_counting.reset(token)
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def look_up(app: Litestar) -> list[str]:
    """What it costs to know the session and the version: nothing where one process remembers, else one row."""
    return [] if app.state.service.database.is_sqlite else ["SELECT"]


@pytest.fixture
def begin(app: Litestar) -> list[str]:
    return ["BEGIN"] if app.state.service.database.is_sqlite else []


async def test_changes(app: Litestar, ada: Person, look_up: list[str]) -> None:
    post_id = await ada.add("hello")
    with counted(app) as statements:
        await ada.get("/posts/changes?since=0")
    # New posts are read with their events, and edited ones after them.
    assert statements == [*look_up, "SELECT"]

    await ada.request("PATCH", f"/posts/{post_id}", json={"text": "again"})
    with counted(app) as statements:
        await ada.get("/posts/changes?since=1")
    assert statements == [*look_up, "SELECT", "SELECT"]


async def test_a_cached_list(app: Litestar, ada: Person, look_up: list[str]) -> None:
    await ada.add("hello")
    await ada.get("/posts")

    with counted(app) as statements:
        response = await ada.get("/posts")

    assert response.headers["cache-status"] == "postline; hit"
    assert statements == look_up


async def test_a_list_that_the_client_has(app: Litestar, ada: Person, look_up: list[str]) -> None:
    await ada.add("hello")

    with counted(app) as statements:
        assert (await ada.get("/posts", headers={"if-none-match": '"1"'})).status_code == 304

    assert statements == look_up


async def test_an_uncached_list(app: Litestar, ada: Person, look_up: list[str]) -> None:
    await ada.get("/posts?limit=1")
    await ada.add("hello")

    with counted(app) as statements:
        await ada.get("/posts")

    assert statements == [*look_up, "SELECT"]


async def test_a_read_post(app: Litestar, ada: Person, look_up: list[str]) -> None:
    post_id = await ada.add("hello")

    with counted(app) as statements:
        await ada.get(f"/posts/{post_id}")

    assert statements == [*look_up, "SELECT"]


async def test_an_added_post(app: Litestar, ada: Person, look_up: list[str], begin: list[str]) -> None:
    await ada.add("first")

    with counted(app) as statements:
        await ada.add("second")

    assert sorted(statements) == sorted([*look_up, *begin, "UPDATE", "INSERT", "INSERT"])


async def test_an_edited_post(app: Litestar, ada: Person, look_up: list[str], begin: list[str]) -> None:
    post_id = await ada.add("first")

    with counted(app) as statements:
        await ada.request("PATCH", f"/posts/{post_id}", json={"text": "second"})

    # The version, the post, how many bytes the user has, and the event.
    assert sorted(statements) == sorted([*look_up, *begin, "UPDATE", "SELECT", "UPDATE", "UPDATE", "INSERT"])


async def test_an_edited_post_that_stays_as_long(
    app: Litestar, ada: Person, look_up: list[str], begin: list[str]
) -> None:
    post_id = await ada.add("first")

    with counted(app) as statements:
        await ada.request("PATCH", f"/posts/{post_id}", json={"text": "other"})

    assert sorted(statements) == sorted([*look_up, *begin, "UPDATE", "SELECT", "UPDATE", "INSERT"])


async def test_a_deleted_post(app: Litestar, ada: Person, look_up: list[str], begin: list[str]) -> None:
    post_id = await ada.add("first")

    with counted(app) as statements:
        await ada.request("DELETE", f"/posts/{post_id}")

    assert sorted(statements) == sorted([*look_up, *begin, "UPDATE", "SELECT", "DELETE", "UPDATE", "INSERT"])


async def test_posts_that_a_batch_deletes_take_one_statement(app: Litestar, ada: Person) -> None:
    operations = [{"op": "delete", "postID": await ada.add(text)} for text in ("first", "second")]
    deletions = list[bool]()

    def note(_connection: object, _cursor: object, statement: str, _p: object, _c: object, is_many: bool) -> None:
        if statement.startswith("DELETE FROM posts"):
            deletions.append(is_many)

    engine = app.state.service.database.writer.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    await ada.request("POST", "/posts/batch", json={"operations": operations})
    event.remove(engine, "before_cursor_execute", note)

    # Drivers of MySQL would send many parameters one after another.
    assert deletions == [False]
    assert await ada.texts() == []


async def script_of(ada: Person) -> Person:
    """Return what sends a personal token of hers, which this process has not seen yet."""
    body = {"name": "a script", "scopes": ["posts:read", "posts:write"]}
    created = (await ada.request("POST", "/me/tokens", json=body)).json()
    return Person(ada.client, ada.email, {"access_token": created["token"]})


async def test_a_cached_list_costs_a_personal_token_no_more(app: Litestar, ada: Person, look_up: list[str]) -> None:
    script = await script_of(ada)
    await script.add("hello")
    await script.get("/posts")

    with counted(app) as statements:
        response = await script.get("/posts")

    assert response.headers["cache-status"] == "postline; hit"
    assert statements == look_up


async def test_the_first_request_with_a_personal_token_costs_one_more(
    app: Litestar, ada: Person, look_up: list[str]
) -> None:
    await ada.add("hello")
    script = await script_of(ada)
    await ada.get("/posts")

    with counted(app) as statements:
        assert (await script.get("/posts")).status_code == 200

    assert statements == ["SELECT", *look_up]


async def test_a_revoked_personal_token_costs_no_more_than_a_session(
    app: Litestar, ada: Person, look_up: list[str]
) -> None:
    script = await script_of(ada)
    await script.get("/posts")
    await ada.request("DELETE", "/me/tokens")
    await ada.get("/posts")

    with counted(app) as statements:
        assert (await script.get("/posts")).status_code == 401

    assert statements == look_up


async def test_forged_personal_tokens_cost_one_statement_together_and_typing_errors_none(
    app: Litestar, ada: Person
) -> None:
    def forger(token: str) -> Person:
        return Person(ada.client, "", {"access_token": token})

    with counted(app) as statements:
        await asyncio.gather(*(forger(issue()).get("/posts") for _ in range(50)))
    assert statements
    assert len(statements) < 10

    with counted(app) as statements:
        assert (await forger(issue()[:-1] + "!").get("/posts")).status_code == 401
    assert statements == []


async def test_uses_of_personal_tokens_are_stored_together(app: Litestar, ada: Person, begin: list[str]) -> None:
    for script in [await script_of(ada) for _ in range(3)]:
        await script.get("/posts")

    with counted(app) as statements:
        await app.state.service.token_uses.tick()
        await app.state.service.token_uses.tick()

    assert statements == [*begin, "UPDATE"]
