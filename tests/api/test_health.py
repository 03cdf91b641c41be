"""Health, as a load balancer asks for it."""

import asyncio
import socket
from pathlib import Path

import pytest
from httpx import AsyncClient
from sqlalchemy import URL

from app.application import create_app
from app.database.engines import Database
from app.settings import Settings
from tests.api.conftest import serve
from tests.api.people import Person, assert_problem
from tests.conftest import settings_for
from tests.factories import SignUpFactory
from tests.services import fresh_mariadb_database, redis_url


async def test_a_serving_process_is_live_and_ready(client: AsyncClient) -> None:
    for path in ("/health/live", "/health/ready"):
        response = await client.get(path)
        assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_a_process_without_its_database_is_live_but_not_ready(tmp_path: Path) -> None:
    nowhere = URL.create("mysql+asyncmy", username="root", host="127.0.0.1", port=1, database="x")

    async with serve(create_app(settings_for(nowhere, tmp_path))) as client:
        assert (await client.get("/health/live")).status_code == 200
        assert_problem(await client.get("/health/ready"), 503)


async def test_a_database_that_accepts_and_says_nothing_is_not_ready_within_seconds(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = URL.create("mysql+asyncmy", "root", host="127.0.0.1", port=silent.getsockname()[1], database="x")
        async with serve(create_app(settings_for(url, tmp_path))) as client, asyncio.timeout(10):
            assert_problem(await client.get("/health/ready"), 503)


async def test_however_many_ask_at_once_one_write_is_tried(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Database] = []

    async def note(database: Database) -> None:
        tried.append(database)
        await asyncio.sleep(0.05)

    monkeypatch.setattr("app.database.schema.try_to_write", note)
    await asyncio.gather(*(client.get("/health/ready") for _ in range(10)))

    assert len(tried) == 1


async def test_the_migrations_are_not_read_again_for_each_who_asks(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await client.get("/health/ready")).status_code == 200
    monkeypatch.setattr("app.database.schema.ScriptDirectory", None)

    assert (await client.get("/health/ready")).status_code == 200


@pytest.fixture(scope="module")
def empty_mariadb():  # type: ignore[no-untyped-def]
    with fresh_mariadb_database() as url:
        yield url


async def test_a_database_without_its_migrations_is_not_ready(empty_mariadb: URL, tmp_path: Path) -> None:
    async with serve(create_app(settings_for(empty_mariadb, tmp_path))) as client:
        response = await client.get("/health/ready")
        assert_problem(await client.post("/auth/signup", json=SignUpFactory.build().model_dump()), 503)

    assert_problem(response, 503)
    assert "alembic upgrade head" in response.json()["detail"]


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
async def test_a_process_without_its_redis_is_ready_but_degraded(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"}))
    async with serve(app) as client:
        response = await client.get("/health/ready")
        assert (response.status_code, response.json()) == (200, {"status": "degraded"})
        ada = await Person.sign_up(client, "ada@example.com")
        await ada.add("hello")
        assert await ada.texts() == ["hello"]


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
async def test_a_process_that_redis_serves_is_ready(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"redis_url": redis_url()}))
    async with serve(app) as client, asyncio.timeout(30):
        while (await client.get("/health/ready")).json() != {"status": "ok"}:  # noqa: ASYNC110 - it happens elsewhere
            await asyncio.sleep(0.05)
