"""What each request costs in statements; one more is a change somebody should have meant."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from unittest.mock import patch

import pytest
from litestar import Litestar
from sqlalchemy import event

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

    assert sorted(statements) == sorted([*look_up, *begin, "UPDATE", "SELECT", "UPDATE", "INSERT"])


async def test_a_deleted_post(app: Litestar, ada: Person, look_up: list[str], begin: list[str]) -> None:
    post_id = await ada.add("first")

    with counted(app) as statements:
        await ada.request("DELETE", f"/posts/{post_id}")

    assert sorted(statements) == sorted([*look_up, *begin, "UPDATE", "SELECT", "DELETE", "INSERT"])
