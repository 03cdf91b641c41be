"""Personal tokens: issued, listed, revoked, and kept within their scopes."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

import pytest
from httpx import AsyncClient, Response
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from sqlalchemy import update
from sqlmodel import col

from app.application import create_app
from app.auth.personal_tokens import PREFIX, issue
from app.auth.scopes import required_scope
from app.settings import Settings
from models import Session
from models.columns import now
from tests.api.conftest import Fired, Log, serve
from tests.api.document import operations
from tests.api.people import PASSWORD, Person, assert_problem
from tests.api.test_sessions import log_in, sessions_of

SCOPES = ["posts:read", "posts:write", "webhooks"]
SOME_ID = "01a20544-8f6d-7250-9b81-05646f62c3bb"


class Script(Person):
    """What sends a person's personal token."""

    @classmethod
    async def of(cls, person: Person, *scopes: str, **more: Any) -> Self:
        body = {"name": "a script", "scopes": list(scopes) or SCOPES} | more
        response = await person.request("POST", "/me/tokens", json=body)
        assert response.status_code == 201, response.text
        return cls(person.client, person.email, response.json() | {"access_token": response.json()["token"]})

    @property
    def id(self) -> str:
        token_id: str = self.tokens["id"]
        return token_id


async def tokens_of(person: Person) -> list[dict[str, Any]]:
    response = await person.get("/me/tokens")
    assert response.status_code == 200, response.text
    tokens: list[dict[str, Any]] = response.json()
    return tokens


def assert_insufficient(response: Response, scope: str | None) -> None:
    """Check that the answer says that the token lacks the scope, or that no personal token would do."""
    assert response.status_code == 403, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == "urn:problem-type:postline:insufficient-scope"
    challenge = 'Bearer error="insufficient_scope"'
    assert response.headers["www-authenticate"] == (f'{challenge}, scope="{scope}"' if scope else challenge)


async def expire(app: Litestar, script: Script) -> None:
    """Let a token expire, as if its time had come."""
    async with app.state.service.database.writer.begin() as connection:
        await connection.execute(
            update(Session).where(col(Session.id) == UUID(script.id)).values(expires_at=now() - timedelta(seconds=1))
        )
    if app.state.service.database.is_sqlite:
        app.state.service.timelines.forget()


async def test_a_token_is_shown_once_and_then_only_described(ada: Person, fired: Fired) -> None:
    response = await ada.request("POST", "/me/tokens", json={"name": "CI 👷", "scopes": ["webhooks", "posts:read"]})

    assert response.status_code == 201
    created = response.json()
    token = created.pop("token")
    assert re.fullmatch(r"postline_pat_[0-9A-Za-z]{49}", token)
    assert set(created) == {"id", "name", "scopes", "created_at", "last_used_at", "expires_at"}
    assert (created["name"], created["scopes"]) == ("CI 👷", ["posts:read", "webhooks"])
    assert (created["last_used_at"], created["expires_at"]) == (None, None)
    assert created["created_at"].endswith("Z")
    assert await tokens_of(ada) == [created]
    assert fired.take() == []


async def test_tokens_are_listed_newest_first_to_their_own_user_and_not_among_the_sessions(
    ada: Person, bob: Person
) -> None:
    first, second = await Script.of(ada, name="first"), await Script.of(ada, name="second")
    bobs = await Script.of(bob)

    assert [token["id"] for token in await tokens_of(ada)] == [second.id, first.id]
    assert [token["id"] for token in await tokens_of(bob)] == [bobs.id]
    (session,) = await sessions_of(ada)
    assert set(session) == {"id", "user_agent", "created_at", "last_used_at", "expires_at", "is_current"}


async def test_a_script_reads_and_writes_its_users_posts_and_no_others(ada: Person, bob: Person) -> None:
    await bob.add("someone else's")
    script = await Script.of(ada)

    post_id = await script.add("from a script")

    assert await script.texts() == await ada.texts() == ["from a script"]
    assert (await script.request("PATCH", f"/posts/{post_id}", json={"text": "again"})).status_code == 200
    assert (await script.request("DELETE", f"/posts/{post_id}")).status_code == 204
    assert (await script.get("/webhooks")).status_code == 200
    assert (await script.get("/me")).json()["email"] == ada.email


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_schemes_name_has_no_case(client: AsyncClient, ada: Person, scheme: str) -> None:
    token = (await Script.of(ada)).tokens["token"]

    assert (await client.get("/posts", headers={"authorization": f"{scheme} {token}"})).status_code == 200
    assert_problem(await client.get("/posts", headers={"authorization": f"Basic {token}"}), 401)
    assert_problem(await client.get("/posts", headers={"authorization": token}), 401)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["name", "scopes"]),
        ({"name": "", "scopes": ["posts:read"]}, ["name"]),
        ({"name": "n" * 101, "scopes": ["posts:read"]}, ["name"]),
        ({"name": "a\x00b", "scopes": ["posts:read"]}, ["name"]),
        ({"name": "n", "scopes": []}, ["scopes"]),
        ({"name": "n", "scopes": ["posts:read", "admin"]}, ["scopes.1"]),
        ({"name": "n", "scopes": "posts:read"}, ["scopes"]),
        ({"name": "n", "scopes": ["posts:read"], "expires_at": "2020-01-01T00:00:00Z"}, ["expires_at"]),
        ({"name": "n", "scopes": ["posts:read"], "expires_at": "2090-01-01"}, ["expires_at"]),
        ({"name": "n", "scopes": ["posts:read"], "expires_at": "2090-01-01T00:00:00"}, ["expires_at"]),
        ({"name": "n", "scopes": ["posts:read"], "expires_at": "4000000000"}, ["expires_at"]),
        ({"name": "n", "scopes": ["posts:read"], "expires_at": 4000000000}, ["expires_at"]),
        ({"name": "n", "scopes": ["posts:read"], "expires_at": True}, ["expires_at"]),
        ({"name": "n", "scopes": ["posts:read"], "expires_at": "2090-02-30T00:00:00Z"}, ["expires_at"]),
        ({"name": "n", "scopes": ["posts:read"], "expires_at": "9999-12-31T23:59:59-12:00"}, ["expires_at"]),
        ({"name": "n", "scopes": ["posts:read"], "expires_at": "0001-01-01T00:00:00+12:00"}, ["expires_at"]),
        ({"name": "n", "scopes": ["posts:read"], "user_id": SOME_ID}, ["user_id"]),
    ],
    ids=str,
)
async def test_an_invalid_token_names_its_fields(ada: Person, body: dict[str, Any], fields: list[str]) -> None:
    response = await ada.request("POST", "/me/tokens", json=body)

    assert_problem(response, 400, *fields)
    assert await tokens_of(ada) == []


async def test_a_lone_surrogate_in_a_name_is_refused(ada: Person) -> None:
    body = b'{"name": "\\ud800", "scopes": ["posts:read"]}'

    response = await ada.request("POST", "/me/tokens", content=body, headers={"content-type": "application/json"})

    assert response.status_code == 400


async def test_the_longest_name_of_any_script_is_kept(ada: Person) -> None:
    name = "\U0010ffff" * 100

    await Script.of(ada, name=name)

    assert (await tokens_of(ada))[0]["name"] == name


async def test_a_time_of_any_zone_is_shown_in_utc(ada: Person) -> None:
    await Script.of(ada, expires_at="2090-01-02T03:04:05.678901+02:00")

    assert (await tokens_of(ada))[0]["expires_at"] == "2090-01-02T01:04:05.678901Z"


async def test_there_can_be_fifty_live_tokens(app: Litestar, ada: Person, bob: Person) -> None:
    scripts = [await Script.of(ada) for _ in range(50)]
    body = {"name": "one more", "scopes": SCOPES}

    refused = await ada.request("POST", "/me/tokens", json=body)

    assert_problem(refused, 409)
    assert refused.json()["type"] == "urn:problem-type:postline:too-many-tokens"
    assert len(await tokens_of(ada)) == 50
    await Script.of(bob)
    await expire(app, scripts[0])
    await Script.of(ada)
    assert (await ada.request("DELETE", f"/me/tokens/{scripts[1].id}")).status_code == 204
    await Script.of(ada)
    assert_problem(await ada.request("POST", "/me/tokens", json=body), 409)


async def test_of_many_tokens_that_are_asked_for_at_once_fifty_are_made(ada: Person) -> None:
    await asyncio.gather(*(Script.of(ada) for _ in range(48)))
    body = {"name": "one more", "scopes": SCOPES}

    answers = await asyncio.gather(*(ada.request("POST", "/me/tokens", json=body) for _ in range(6)))

    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409, 409, 409]


async def test_log_ins_do_not_take_the_place_of_tokens(client: AsyncClient, ada: Person) -> None:
    script = await Script.of(ada)
    for _ in range(100):
        await log_in(client, ada.email, "curl/8")
    latest = await log_in(client, ada.email, "curl/8")

    assert (await script.get("/posts")).status_code == 200
    assert len(await sessions_of(latest)) == 100


# --- what ends a token


async def test_a_revoked_token_is_refused_at_once_and_the_others_stay(ada: Person) -> None:
    script, other = await Script.of(ada), await Script.of(ada)
    assert (await script.get("/posts")).status_code == 200

    response = await ada.request("DELETE", f"/me/tokens/{script.id}")

    assert (response.status_code, response.content) == (204, b"")
    refused = await script.get("/posts")
    assert_problem(refused, 401)
    assert refused.headers["www-authenticate"] == "Bearer"
    assert (await other.get("/posts")).status_code == 200
    assert [token["id"] for token in await tokens_of(ada)] == [other.id]
    assert_problem(await ada.request("DELETE", f"/me/tokens/{script.id}"), 404)


async def test_all_tokens_are_revoked_at_once_and_sessions_stay(ada: Person, bob: Person) -> None:
    scripts = [await Script.of(ada) for _ in range(2)]
    bobs = await Script.of(bob)

    assert (await ada.request("DELETE", "/me/tokens")).status_code == 204

    assert [(await script.get("/posts")).status_code for script in [*scripts, bobs]] == [401, 401, 200]
    assert await tokens_of(ada) == []


async def test_nobody_revokes_someone_elses_token(ada: Person, bob: Person) -> None:
    script = await Script.of(ada)

    assert_problem(await bob.request("DELETE", f"/me/tokens/{script.id}"), 404)

    assert (await script.get("/posts")).status_code == 200


async def test_a_session_is_not_ended_as_a_token_nor_a_token_as_a_session(ada: Person) -> None:
    script = await Script.of(ada)
    (session,) = await sessions_of(ada)

    assert_problem(await ada.request("DELETE", f"/me/tokens/{session['id']}"), 404)
    assert_problem(await ada.request("DELETE", f"/auth/sessions/{script.id}"), 404)

    assert (await script.get("/posts")).status_code == 200


async def test_a_token_stops_when_it_expires_and_is_listed_no_longer(app: Litestar, ada: Person) -> None:
    script = await Script.of(ada, expires_at=(datetime.now(UTC) + timedelta(days=1)).isoformat())
    assert (await script.get("/posts")).status_code == 200

    await expire(app, script)

    assert_problem(await script.get("/posts"), 401)
    assert await tokens_of(ada) == []
    await app.state.service.pruner.prune()
    assert_problem(await script.get("/posts"), 401)


async def test_tokens_outlive_log_outs_and_a_new_password(client: AsyncClient, ada: Person) -> None:
    script = await Script.of(ada)
    change = {"current_password": PASSWORD, "new_password": "another horse battery"}

    assert (await ada.request("PUT", "/me/password", json=change)).status_code == 204
    assert (await script.get("/posts")).status_code == 200
    assert (await ada.request("DELETE", "/auth/sessions")).status_code == 204

    assert (await script.get("/posts")).status_code == 200
    assert_problem(await ada.get("/posts"), 401)


async def test_an_erased_accounts_token_is_refused(ada: Person) -> None:
    script = await Script.of(ada)
    await script.get("/posts")

    assert (await ada.request("DELETE", "/me", json={"password": PASSWORD})).status_code == 204

    assert_problem(await script.get("/posts"), 401)


# --- what is no token


def damaged(token: str) -> list[str]:
    """Return what is nearly a token: wrong somewhere, too short, too long, of another case, or another one's."""
    position = len(PREFIX) + 5
    changed = "a" if token[position] != "a" else "b"
    return [
        token[:position] + changed + token[position + 1 :],
        token[:-1],
        token + "0",
        token.swapcase(),
        PREFIX,
        PREFIX + "0" * 49,
        PREFIX + "é" * 49,
        PREFIX + "x" * 5000,
        issue(),
    ]


async def test_what_is_no_token_gets_the_answer_of_every_other_refused_one(client: AsyncClient, ada: Person) -> None:
    script = await Script.of(ada)
    missing = await client.get("/posts")

    for token in damaged(script.tokens["token"]):
        response = await client.get("/posts", headers=[(b"authorization", f"Bearer {token}".encode())])
        assert_problem(response, 401)
        assert response.content == missing.content
        assert response.headers["www-authenticate"] == "Bearer"


async def test_a_personal_token_counts_for_nothing_at_a_log_in_and_refreshes_nothing(
    app: Litestar, client: AsyncClient, ada: Person
) -> None:
    script = await Script.of(ada)
    form = {"email": ada.email, "password": PASSWORD}

    assert (await script.request("POST", "/auth/login", json=form)).status_code == 200
    assert await app.state.service.principals.find(f"Bearer {script.tokens['token']}") is None
    refused = await client.post("/auth/refresh", json={"refresh_token": script.tokens["token"]})

    assert_problem(refused, 401)


# --- scopes


def routes(app: Litestar) -> list[tuple[str, str, HTTPRouteHandler]]:
    """Return every method and path that asks for a token, HEAD included."""
    return [
        (method, re.sub(r"\{\w+:uuid\}", SOME_ID, route.path), handler)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method, (handler, _) in route.route_handler_map.items()
        if method != "OPTIONS" and not handler.opt.get("exclude_from_auth")
    ]


def scope_of(method: str, path: str) -> str | None:
    """Return the scope that the contract asks for: empty for any, `None` where no personal token will do."""
    if path == "/me":
        return "" if method in {"GET", "HEAD"} else None
    if path.startswith("/webhooks"):
        return "webhooks"
    if path.startswith("/posts"):
        return "posts:read" if method in {"GET", "HEAD"} else "posts:write"
    return None


async def test_every_route_asks_for_the_contracts_scope(app: Litestar, ada: Person) -> None:
    scripts = {scope: await Script.of(ada, scope) for scope in SCOPES}
    checked = set()

    for method, path, _ in routes(app):
        needed = scope_of(method, path)
        for scope, script in scripts.items():
            if path == "/posts/events" and scope == needed:
                # Its stream does not end; tests/e2e follows it.
                continue
            response = await script.request(method, path)
            if needed in {scope, ""}:
                assert response.status_code not in {401, 403}, (method, path, scope)
            elif method == "HEAD":
                assert response.status_code == 403, (method, path, scope)
            else:
                assert_insufficient(response, needed)
            checked.add((method, path))

    assert {("GET", "/posts"), ("HEAD", "/posts/events"), ("POST", "/me/tokens"), ("DELETE", "/me")} <= checked
    assert {("GET", "/auth/sessions"), ("POST", "/webhooks"), ("GET", "/me/export")} <= checked
    assert (await ada.get("/posts")).status_code == 200


def test_a_route_that_names_no_scope_is_closed() -> None:
    assert required_scope({}) is None
    assert required_scope({"exclude_from_auth": False}) is None


async def test_a_token_that_may_not_read_gets_no_cached_list(ada: Person) -> None:
    await ada.add("hello")
    await ada.get("/posts")
    await ada.get("/posts")
    writer = await Script.of(ada, "posts:write")

    assert_insufficient(await writer.get("/posts"), "posts:read")
    assert_insufficient(await writer.get("/posts", headers={"if-none-match": '"1"'}), "posts:read")


async def test_a_body_that_is_not_read_changes_nothing(ada: Person) -> None:
    reader = await Script.of(ada, "posts:read")

    assert_insufficient(await reader.request("POST", "/posts", json={"text": "hello"}), "posts:write")

    assert await ada.texts() == []


async def test_the_document_names_each_routes_scope_and_how_a_token_is_refused(app: Litestar) -> None:
    document = app.openapi_schema.to_schema()

    for (method, path), operation in operations(document).items():
        if operation["security"] != [{"bearer": []}]:
            continue
        scope = scope_of(method.upper(), path)
        assert (f"A personal token needs the scope `{scope}`." in operation["description"]) == bool(scope)
        if scope == "":
            assert "403" not in operation["responses"]
            continue
        forbidden = operation["responses"]["403"]
        assert "insufficient-scope" in forbidden["description"]
        assert set(forbidden["headers"]) == {"WWW-Authenticate"}
    assert document["components"]["schemas"]["Scope"]["enum"] == SCOPES


# --- the rest


async def test_the_last_use_is_stored_in_a_batch_and_when_the_service_stops(settings: Settings) -> None:
    app = create_app(settings)
    async with serve(app) as client:
        ada = await Person.sign_up(client, "ada@example.com")
        used, _, late = [await Script.of(ada, name=name) for name in ("used", "unused", "late")]
        before = now()
        await used.get("/posts")

        await app.state.service.token_uses.tick()

        listed = {token["name"]: token["last_used_at"] for token in await tokens_of(ada)}
        assert before <= datetime.fromisoformat(listed["used"]) <= now()
        assert (listed["unused"], listed["late"]) == (None, None)
        await late.get("/posts")
    async with serve(create_app(settings)) as client:
        ada = await log_in(client, ada.email, "curl/8")
        after = {token["name"]: token["last_used_at"] for token in await tokens_of(ada)}
        assert after == listed | {"late": after["late"]}
        assert after["late"] > listed["used"]


async def test_an_export_has_the_tokens_without_their_secrets(ada: Person) -> None:
    scripts = [await Script.of(ada, expires_at=expires_at) for expires_at in (None, "2090-01-01T00:00:00Z")]

    response = await ada.get("/me/export")

    assert [line for line in map(json.loads, response.text.splitlines()) if "personal_token" in line] == [
        {"personal_token": token} for token in await tokens_of(ada)
    ]
    assert response.text.count('{"session":') == 1
    assert not any(script.tokens["token"] in response.text for script in scripts)
    assert "hash" not in response.text


async def test_no_token_is_stored_or_logged(app: Litestar, client: AsyncClient, ada: Person, log: Log) -> None:
    script = await Script.of(ada)
    await script.get("/posts")
    await script.get("/auth/sessions")
    await ada.request("DELETE", f"/me/tokens/{script.id}")
    await script.get("/posts")

    secret = script.tokens["token"].removeprefix(PREFIX)
    assert secret not in log.take()
