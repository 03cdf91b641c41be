"""Health, as a load balancer asks for it."""

import asyncio
import socket
from collections import Counter
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from httpx import AsyncClient
from sqlalchemy import URL, text

from app.application import create_app, serve_over_http
from app.database.engines import Database
from app.delivery.webhook_sender import SenderPolicy
from app.service import Policies, build_service
from app.settings import Settings
from events.failures import RepeatedFailure
from events.relay import RelayPolicy
from tests.api.conftest import Log, serve
from tests.api.people import Person, assert_problem
from tests.conftest import settings_for
from tests.factories import SignUpFactory
from tests.services import fresh_mariadb_database, redis_url

[HEAD] = ScriptDirectory.from_config(Config(Path(__file__).resolve().parents[2] / "alembic.ini")).get_heads()


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
    monkeypatch.setattr("app.database.schema._ROOT", None)

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
    assert "postline migrate up" in response.json()["detail"]


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


async def revision_is(database: Database, revision: str) -> None:
    async with database.writer.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


async def test_a_database_that_a_later_version_migrates_is_served_on(
    client: AsyncClient, ada: Person, database: Database, log: Log
) -> None:
    await revision_is(database, "later")
    try:
        for _ in range(3):
            response = await client.get("/health/ready")
            assert (response.status_code, response.json()) == (200, {"status": "degraded"})
        await ada.add("hello")
        assert await ada.texts() == ["hello"]
    finally:
        await revision_is(database, HEAD)
    assert (await client.get("/health/ready")).json() == {"status": "ok"}
    assert log.take().count("a later version") == 1


async def test_a_database_that_a_later_version_took_something_from_is_not_ready(
    client: AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.database.schema._columns", lambda _: {("users", "id")})
    await revision_is(database, "later")
    try:
        response = await client.get("/health/ready")
    finally:
        await revision_is(database, HEAD)

    assert_problem(response, 503)
    assert "it has no dead_letters.error" in response.json()["detail"]


async def test_a_database_of_an_earlier_version_is_not_ready(client: AsyncClient, database: Database) -> None:
    await revision_is(database, "2f8b6a01d9c4")
    try:
        response = await client.get("/health/ready")
    finally:
        await revision_is(database, HEAD)

    assert_problem(response, 503)
    assert "postline migrate up" in response.json()["detail"]


async def test_what_repeats_while_the_database_is_not_migrated_is_logged_once(
    empty_mariadb: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failures: Counter[RepeatedFailure] = Counter()
    note = RepeatedFailure.failed

    def failed(failure: RepeatedFailure, error: BaseException) -> None:
        failures[failure] += 1
        note(failure, error)

    monkeypatch.setattr(RepeatedFailure, "failed", failed)
    policies = Policies(relay=RelayPolicy(poll=0.01, gather=0.01), sender=SenderPolicy(poll=0.01))
    service = build_service(settings_for(empty_mariadb, tmp_path), policies=policies)
    async with serve(serve_over_http(service)), asyncio.timeout(60):
        while len(failures) < 2 or min(failures.values()) < 5:  # noqa: ASYNC110 - it happens elsewhere
            await asyncio.sleep(0.01)

    said = [line for line in capsys.readouterr().err.splitlines() if "failed" in line]
    assert len(said) == len(failures), said
