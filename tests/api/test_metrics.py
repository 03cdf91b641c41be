"""Metrics: what tests do to the service, and nothing else, is in the numbers."""

import asyncio
import os
import socket
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from httpx import ASGITransport, AsyncClient
from litestar import Litestar
from passlib.context import CryptContext
from sqlalchemy import URL, insert

from app.application import create_app
from app.settings import Settings
from events.relay import DurableListener
from events.types import PostEvent
from models import DeadLetter
from tests.api.conftest import serve
from tests.api.people import PASSWORD, Person
from tests.conftest import settings_for, sqlite_url
from tests.receiver import receiving
from tests.scraping import Samples, requests, samples


async def scrape(client: AsyncClient) -> Samples:
    response = await client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return samples(response.text)


async def until(client: AsyncClient, name: str, value: float) -> None:
    async with asyncio.timeout(30):
        while (await scrape(client))[name] != value:  # noqa: ASYNC110 - it happens elsewhere
            await asyncio.sleep(0.02)


async def test_requests_are_counted_by_method_route_and_status(client: AsyncClient, ada: Person) -> None:
    before = requests(await scrape(client))

    post_id = await ada.add("hello")
    await ada.get("/posts")
    await ada.get("/posts")
    await ada.get("/posts", headers={"if-none-match": '"1"'})
    await ada.get(f"/posts/{post_id}")
    await ada.request("DELETE", f"/posts/{post_id}")
    await ada.get(f"/posts/{post_id}")
    await client.get("/posts")

    assert requests(await scrape(client)) - before == Counter(
        {
            ("POST", "/posts", 201): 1,
            ("GET", "/posts", 200): 2,
            ("GET", "/posts", 304): 1,
            ("GET", "/posts", 401): 1,
            ("GET", "/posts/{postID}", 200): 1,
            ("GET", "/posts/{postID}", 404): 1,
            ("DELETE", "/posts/{postID}", 204): 1,
            ("GET", "/metrics", 200): 1,
        }
    )


async def test_addresses_and_methods_that_nobody_serves_share_one_label(client: AsyncClient) -> None:
    before = await scrape(client)

    for number in range(20):
        await client.request(f"BREW{number}", "/posts")
        await client.get(f"/pots/{number}")

    after = await scrape(client)
    assert requests(after) - requests(before) == Counter(
        {("_OTHER", "unknown", 405): 20, ("GET", "unknown", 404): 20, ("GET", "/metrics", 200): 1}
    )


async def test_a_duration_is_kept_of_each_request(client: AsyncClient) -> None:
    await client.get("/health/live")

    found = await scrape(client)

    labels = 'method="GET",route="/health/live",status="200"'
    assert 0 < found[f"postline_http_request_duration_seconds_sum{{{labels}}}"] < 1
    assert found[f'postline_http_request_duration_seconds_bucket{{le="+Inf",{labels}}}'] == 1


@pytest.fixture
def app(settings: Settings) -> Litestar:
    return create_app(settings.model_copy(update={"cache_max_bytes": 8_000}))


async def test_the_cache_tells_what_it_held_and_holds(app: Litestar, client: AsyncClient, ada: Person) -> None:
    for limit in range(1, 31):
        await ada.get(f"/posts?limit={limit}")
    await ada.get("/posts?limit=30")
    await ada.get("/posts?limit=1")

    found = await scrape(client)

    held = app.stores.get("response_cache")
    assert (found["postline_cache_hits_total"], found["postline_cache_misses_total"]) == (1, 31)
    assert 0 < found["postline_cache_bytes"] == held.size < 8_000  # type: ignore[attr-defined]
    assert found["postline_cache_evictions_total"] > 0


async def test_failed_log_ins_are_counted(client: AsyncClient, ada: Person) -> None:
    for email in (ada.email, "nobody@example.com"):
        await client.post("/auth/login", json={"email": email, "password": "not the password"})
    await client.post("/auth/login", json={"email": ada.email, "password": PASSWORD})
    await ada.request("DELETE", "/me", json={"password": "not the password"})

    assert (await scrape(client))["postline_login_failures_total"] == 2


async def test_passwords_that_wait_to_be_hashed_are_counted(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_begin = threading.Event()
    hash_now = CryptContext.hash

    def hash_when_allowed(context: CryptContext, password: str) -> str:
        assert may_begin.wait(60)
        return hash_now(context, password)

    monkeypatch.setattr(CryptContext, "hash", hash_when_allowed)
    people = asyncio.gather(*(Person.sign_up(client, f"{name}@example.com") for name in ("ada", "bob", "eve")))
    await until(client, "postline_passwords_pending", 3)
    may_begin.set()
    await people
    assert (await scrape(client))["postline_passwords_pending"] == 0


async def test_open_streams_are_counted(app: Litestar, client: AsyncClient, ada: Person) -> None:
    streams = [asyncio.create_task(follow(app, ada)) for _ in range(2)]

    await until(client, "postline_streams_open", 2)
    for stream in streams:
        stream.cancel()
    await asyncio.wait(streams)
    await until(client, "postline_streams_open", 0)


async def follow(app: Litestar, person: Person) -> None:
    """Follow changes until cancelled; httpx would wait for the end of the answer."""

    async def receive() -> Any:
        return await asyncio.get_running_loop().create_future()

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200

    authorization = (b"authorization", f"Bearer {person.tokens['access_token']}".encode())
    await app(scope("GET", "/posts/events", authorization), receive, send)


def scope(method: str, path: str, *headers: tuple[bytes, bytes]) -> Any:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": list(headers),
        "client": ("127.0.0.1", 1),
        "server": ("postline", 80),
    }


async def test_a_client_that_leaves_before_it_is_answered_is_no_error_of_the_service(
    app: Litestar, client: AsyncClient
) -> None:
    sent = iter([{"type": "http.request", "body": b'{"email"', "more_body": True}])

    async def receive() -> Any:
        return next(sent, {"type": "http.disconnect"})

    async def send(_: Any) -> None:
        """Say it to nobody."""

    await app(scope("POST", "/auth/login", (b"content-type", b"application/json")), receive, send)

    assert requests(await scrape(client))["POST", "/auth/login", 499] == 1


async def test_connections_in_use_are_counted_by_pool(app: Litestar, client: AsyncClient) -> None:
    read, snapshot = (f'postline_database_connections_in_use{{pool="{pool}"}}' for pool in ("read", "snapshot"))

    database, owner_id = app.state.service.database, UUID(int=1)
    async with database.snapshot(owner_id) as first, database.snapshot(owner_id) as second:
        assert first is not second
        await until(client, snapshot, 2)
        # The relay and the pruning read now and then.
        await until(client, read, 0)
    await until(client, snapshot, 0)
    assert (await scrape(client))['postline_database_connections_limit{pool="read"}'] == 10


async def test_each_durable_listener_has_connections_for_its_locks(settings: Settings) -> None:
    async def take(_: Sequence[PostEvent]) -> None:
        """Take it."""

    mine = [DurableListener(name, take) for name in ("one", "two")]
    limit = 'postline_database_connections_limit{pool="lock"}'

    async with serve(create_app(settings)) as client:
        before = (await scrape(client))[limit]
    async with serve(create_app(settings, durable_listeners=mine)) as client:
        after = (await scrape(client))[limit]

    assert (before, after) == (5, 13)


async def test_what_a_durable_listener_lacks_is_counted(settings: Settings) -> None:
    may_go_on = asyncio.Event()

    async def take(_: Sequence[PostEvent]) -> None:
        await may_go_on.wait()

    async with serve(create_app(settings, durable_listeners=[DurableListener("slow", take)])) as client:
        ada = await Person.sign_up(client, "ada@example.com")
        await ada.add("one")
        await ada.add("two")
        found = await scrape(client)
        assert found['postline_outbox_undelivered_events{listener="slow"}'] == 2
        assert 0 < found['postline_outbox_oldest_undelivered_seconds{listener="slow"}'] < 10

        may_go_on.set()
        await until(client, 'postline_outbox_undelivered_events{listener="slow"}', 0)
        assert (await scrape(client))['postline_outbox_oldest_undelivered_seconds{listener="slow"}'] == 0


async def test_what_a_durable_listener_gave_up_is_counted(app: Litestar, client: AsyncClient, ada: Person) -> None:
    await ada.add("hello")
    user_id = UUID((await ada.get("/me")).json()["user_id"])
    async with app.state.service.database.writer.begin() as connection:
        letter = {"listener": "webhooks", "user_id": user_id, "version": 1, "error": "RuntimeError"}
        await connection.execute(insert(DeadLetter).values(letter))

    assert (await scrape(client))['postline_outbox_dead_letters{listener="webhooks"}'] == 1


async def test_deliveries_that_wait_are_counted(settings: Settings) -> None:
    local = settings.model_copy(update={"webhook_allowed_networks": ("127.0.0.0/8",)})
    with receiving() as receiver:
        receiver.status = 500
        async with serve(create_app(Settings.model_validate(local.model_dump()))) as client:
            ada = await Person.sign_up(client, "ada@example.com")
            await ada.request("POST", "/webhooks", json={"url": receiver.url})
            await ada.add("one")
            await ada.add("two")
            await until(client, "postline_webhook_deliveries_pending", 2)


async def test_the_process_itself_is_measured(client: AsyncClient) -> None:
    found = await scrape(client)

    assert found[f'process_resident_memory_bytes{{pid="{os.getpid()}"}}'] > 10_000_000
    assert found[f'process_cpu_seconds_total{{pid="{os.getpid()}"}}'] > 0


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
async def test_a_redis_that_is_away_is_told(settings: Settings) -> None:
    async with serve(create_app(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"}))) as client:
        found = await scrape(client)

    assert (found["postline_redis_degraded"], found["postline_database_up"]) == (1, 1)


async def test_without_redis_nothing_is_told_of_it(client: AsyncClient) -> None:
    assert "postline_redis_degraded" not in await scrape(client)


async def test_without_the_database_all_else_is_still_answered(tmp_path: Path) -> None:
    nowhere = URL.create("mysql+asyncmy", username="root", host="127.0.0.1", port=1, database="x")
    await assert_answers_without_database(create_app(settings_for(nowhere, tmp_path)))


async def test_a_database_that_says_nothing_does_not_hold_up_the_answer(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = URL.create("mysql+asyncmy", "root", host="127.0.0.1", port=silent.getsockname()[1], database="x")
        async with asyncio.timeout(8):
            await assert_answers_without_database(create_app(settings_for(url, tmp_path)))


async def test_a_database_without_its_migrations_is_up_but_tells_nothing(tmp_path: Path) -> None:
    app = create_app(settings_for(sqlite_url(tmp_path / "empty.db"), tmp_path))
    async with AsyncClient(transport=ASGITransport(app), base_url="http://postline") as client:  # type: ignore[arg-type]
        found = await scrape(client)
    await app.state.service.database.close()

    assert found["postline_database_up"] == 1
    assert not [name for name in found if name.startswith(("postline_outbox", "postline_webhook"))]


async def assert_answers_without_database(app: Litestar) -> None:
    async with AsyncClient(transport=ASGITransport(app), base_url="http://postline") as client:  # type: ignore[arg-type]
        found = await scrape(client)
    assert found["postline_database_up"] == 0
    assert not [name for name in found if name.startswith(("postline_outbox", "postline_webhook"))]
    assert found["postline_streams_open"] == 0
