"""The account: shown, given another password, taken along and erased."""

import json
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import pytest
from httpx import AsyncClient
from litestar import Litestar
from sqlalchemy import func, insert, select, update
from uuid_utils.compat import uuid7

from app.application import create_app
from app.service import Policies
from app.settings import Settings
from app.storage.policy import ListPolicy, RetentionPolicy, StoragePolicy
from models import DeliveryStatus, IdempotencyKey, Post, Session, StoredEvent, User, Webhook, WebhookDelivery
from models.columns import now
from tests.api.conftest import Fired, serve
from tests.api.people import PASSWORD, Person, assert_problem
from tests.conftest import on_every_database
from tests.factories import TEXTS

pytestmark = on_every_database

ERASE = [("DELETE", "/me"), ("POST", "/me/erase")]
NEW_PASSWORD = "another horse battery"


async def log_in(client: AsyncClient, email: str, password: str) -> int:
    return (await client.post("/auth/login", json={"email": email, "password": password})).status_code


async def test_a_person_sees_their_account(ada: Person, fired: Fired) -> None:
    await ada.add("one")
    await ada.add("two")
    fired.take()

    response = await ada.get("/me")

    assert response.status_code == 200
    me = response.json()
    assert set(me) == {"user_id", "email", "created_at", "email_verified_at", "post_count", "limits"}
    assert (me["email"], me["post_count"]) == ("ada@example.com", 2)
    assert me["created_at"].endswith("Z")
    assert fired.take() == []


async def test_a_new_password_takes_the_old_ones_place_and_ends_the_other_sessions(
    client: AsyncClient, ada: Person, bob: Person, fired: Fired
) -> None:
    login = await client.post("/auth/login", json={"email": ada.email, "password": PASSWORD})
    other = Person(client, ada.email, login.json())
    await other.get("/posts")

    response = await ada.request(
        "PUT", "/me/password", json={"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    )

    assert (response.status_code, response.content) == (204, b"")
    assert (await ada.get("/posts")).status_code == 200
    assert_problem(await other.get("/posts"), 401)
    assert await log_in(client, ada.email, PASSWORD) == 401
    assert await log_in(client, ada.email, NEW_PASSWORD) == 200
    assert await log_in(client, bob.email, PASSWORD) == 200
    assert fired.take() == []


async def test_a_wrong_current_password_changes_nothing(client: AsyncClient, ada: Person) -> None:
    response = await ada.request(
        "PUT", "/me/password", json={"current_password": "incorrect horse", "new_password": NEW_PASSWORD}
    )

    assert_problem(response, 403)
    assert await log_in(client, ada.email, PASSWORD) == 200


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["current_password", "new_password"]),
        ({"current_password": PASSWORD, "new_password": "short"}, ["new_password"]),
        ({"current_password": PASSWORD, "new_password": "password1"}, ["new_password"]),
        ({"current_password": PASSWORD, "new_password": "k" * 129}, ["new_password"]),
    ],
)
async def test_an_invalid_new_password_names_its_fields(ada: Person, body: dict[str, Any], fields: list[str]) -> None:
    assert_problem(await ada.request("PUT", "/me/password", json=body), 400, *fields)


async def test_an_export_is_the_account_and_then_every_post_oldest_first(ada: Person, bob: Person) -> None:
    for text in TEXTS * 6:
        await ada.add(text)
    await bob.add("someone else's")

    response = await ada.get("/me/export")

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/x-ndjson"
    assert "attachment" in response.headers["content-disposition"]
    account, *posts, session, end = [json.loads(line) for line in response.content.splitlines()]
    me = (await ada.get("/me")).json()
    # What the process that answers holds at the moment is nothing that a user owns.
    me["limits"] |= {"feeds": None, "unread_bytes": None, "writes": None}
    assert account.items() >= me.items()
    assert posts == (await ada.get("/posts")).json()[::-1]
    assert (set(session), set(end)) == ({"session"}, {"end"})
    assert response.content.endswith(b"\n")


@pytest.mark.parametrize(
    "policies",
    [Policies(storage=StoragePolicy(lists=ListPolicy(exported_rows_per_statement=2)))],
    ids=["two rows a statement"],
)
async def test_an_export_ends_with_sessions_webhooks_and_what_these_were_told(
    app: Litestar, client: AsyncClient, ada: Person, bob: Person
) -> None:
    await client.post("/auth/login", json={"email": ada.email, "password": PASSWORD})
    hook = {"url": "https://1.1.1.1/hook"}
    secrets = [(await person.request("POST", "/webhooks", json=hook)).json()["secret"] for person in (ada, ada, bob)]
    webhooks = (await ada.get("/webhooks")).json()
    await tell(app, UUID(webhooks[0]["id"]), 5)

    response = await ada.get("/me/export")

    _, *others, _ = [json.loads(line) for line in response.content.splitlines()]
    deliveries = (await ada.get(f"/webhooks/{webhooks[0]['id']}/deliveries")).json()
    assert others == [
        *({"session": session} for session in (await ada.get("/auth/sessions")).json()),
        {"webhook": webhooks[0]},
        *({"webhook_delivery": one | {"webhook_id": webhooks[0]["id"]}} for one in deliveries[::-1]),
        {"webhook": webhooks[1]},
    ]
    assert len(deliveries) == 5
    assert not any(secret in response.text for secret in [*secrets, "hash", ada.tokens["refresh_token"]])


async def tell(app: Litestar, webhook_id: UUID, count: int) -> None:
    """Give the webhook so many deliveries."""
    async with app.state.service.database.writing() as session:
        for version in range(1, count + 1):
            session.add(
                WebhookDelivery(
                    webhook_id=webhook_id,
                    version=version,
                    type="post.created",
                    post_id=UUID(int=version),
                    occurred_at=now(),
                    status=DeliveryStatus.DELIVERED,
                )
            )
        await session.commit()


async def test_an_export_that_can_not_begin_says_so_in_its_status(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"database_timeout_seconds": 1}))
    async with serve(app) as client, AsyncExitStack() as stack:
        ada = await Person.sign_up(client, "ada@example.com")
        for number in range(8):
            await stack.enter_async_context(app.state.service.database.snapshot(UUID(int=number)))

        assert_problem(await ada.get("/me/export"), 503)


@pytest.mark.parametrize("route", ERASE)
async def test_an_erased_account_takes_everything_along_and_the_address_can_sign_up_again(
    app: Litestar, client: AsyncClient, ada: Person, bob: Person, route: tuple[str, str]
) -> None:
    await ada.request("POST", "/posts", json={"text": "hello"}, headers={"idempotency-key": "k"})
    await bob.add("bob stays")

    response = await ada.request(*route, json={"password": PASSWORD})

    assert (response.status_code, response.content) == (204, b"")
    for gone in ("/posts", "/me", "/auth/sessions"):
        assert_problem(await ada.get(gone), 401)
    assert_problem(await client.post("/auth/refresh", json={"refresh_token": ada.tokens["refresh_token"]}), 401)
    assert await log_in(client, ada.email, PASSWORD) == 401
    counts = {}
    for model in (User, Session, Post, StoredEvent, IdempotencyKey):
        async with app.state.service.database.reading() as connection:
            counts[model.__name__] = (await connection.execute(select(func.count()).select_from(model))).scalar_one()
    assert counts == {"User": 1, "Session": 1, "Post": 1, "StoredEvent": 1, "IdempotencyKey": 0}

    again = await Person.sign_up(client, ada.email)
    assert await again.texts() == []
    assert_problem(await ada.get("/posts"), 401)
    assert await bob.texts() == ["bob stays"]


@pytest.mark.parametrize(
    "policies",
    [Policies(storage=StoragePolicy(retention=RetentionPolicy(inline_rows=0)))],
    ids=["every history is long"],
)
async def test_an_account_with_a_long_history_is_gone_before_its_posts_are(
    client: AsyncClient, ada: Person, bob: Person
) -> None:
    post_id = await ada.add("hello")
    await ada.texts()

    response = await ada.request("DELETE", "/me", json={"password": PASSWORD})

    assert response.status_code == 204
    for path in ("/posts", "/posts?limit=1", f"/posts/{post_id}", "/posts/events", "/me", "/me/export"):
        assert_problem(await ada.get(path), 401)
    assert_problem(await ada.request("POST", "/posts", json={"text": "more"}), 401)
    assert_problem(await client.post("/auth/refresh", json={"refresh_token": ada.tokens["refresh_token"]}), 401)
    assert await log_in(client, ada.email, PASSWORD) == 401
    assert 'postline_outbox_undelivered_events{listener="webhooks"} 0.0' in (await client.get("/metrics")).text
    assert_problem(await bob.get(f"/posts/{post_id}"), 404)
    assert await (await Person.sign_up(client, ada.email)).texts() == []


@pytest.mark.parametrize(("method", "path"), ERASE)
async def test_a_wrong_password_erases_nothing(ada: Person, method: str, path: str) -> None:
    await ada.add("hello")

    assert_problem(await ada.request(method, path, json={"password": "incorrect horse"}), 403)
    assert_problem(await ada.request(method, path, json={}), 400, "password")
    assert_problem(await ada.request(method, path), 400, "body")
    assert_problem(await ada.client.request(method, path, json={"password": PASSWORD}), 401)
    assert await ada.texts() == ["hello"]


@pytest.mark.parametrize(
    "stored", ["admin@nas.local", "root@localhost", "no address", "", "ada@corp.internal", "İ" * 127 + "@example.com"]
)
async def test_an_account_whose_address_would_be_refused_today_can_be_used(
    app: Litestar, client: AsyncClient, ada: Person, stored: str
) -> None:
    async with app.state.service.database.writer.begin() as connection:
        await connection.execute(update(User).values(email=stored))
    await ada.add("hello")

    assert (await ada.get("/me")).json()["email"] == stored
    exported = (await ada.get("/me/export")).text.splitlines()
    assert json.loads(exported[0])["email"] == stored
    assert (await ada.get("/auth/sessions")).status_code == 200
    if "@" in stored and "İ" not in stored:
        assert await log_in(client, stored.upper(), "incorrect horse") == 401
        assert await log_in(client, stored.upper(), PASSWORD) == 200
        assert await log_in(client, "ada@example.com", PASSWORD) == 401


async def test_what_is_stored_of_webhooks_and_sessions_is_read_without_being_judged(app: Litestar, ada: Person) -> None:
    user_id = UUID((await ada.get("/me")).json()["user_id"])
    webhook = {"id": uuid7(), "user_id": user_id, "url": "gopher://old", "events": ["post.pinned"], "secret": "s"}
    delivery = {"webhook_id": webhook["id"], "version": 1, "type": "post.pinned", "status": "paused"}
    delivery |= {"post_id": user_id, "occurred_at": now()}
    async with app.state.service.database.writer.begin() as connection:
        await connection.execute(insert(Webhook), [webhook | {"since_version": 0, "attempts": 0}])
        await connection.execute(insert(WebhookDelivery), [delivery | {"attempts": 0}])

    (read,) = (await ada.get("/webhooks")).json()
    assert (read["url"], read["events"]) == ("gopher://old", ["post.pinned"])
    (delivered,) = (await ada.get(f"/webhooks/{webhook['id']}/deliveries")).json()
    assert (delivered["type"], delivered["status"]) == ("post.pinned", "paused")
    lines = [json.loads(line) for line in (await ada.get("/me/export")).text.splitlines()]
    assert [line["webhook_delivery"]["status"] for line in lines if "webhook_delivery" in line] == ["paused"]
    assert [line["webhook"]["url"] for line in lines if "webhook" in line] == ["gopher://old"]
