"""Quotas and the rate limit on writes, as clients meet them."""

from typing import Any
from uuid import UUID

import pytest
from httpx import AsyncClient
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from app.service import Policies
from app.services.export_reader import ImportPolicy
from app.settings import Settings
from controllers.write_limit import limit_writes
from tests.api.people import Person, assert_problem
from tests.api.test_import import NDJSON, another, as_lines

HOOK = {"url": "https://93.184.216.34/"}


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """The settings, with what a test is marked to change."""
    return settings.model_copy(update=getattr(request, "param", {}))


async def limits(person: Person) -> dict[str, Any]:
    me: dict[str, Any] = (await person.get("/me")).json()
    return me["limits"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("settings", [{"max_posts_per_user": 1}], indirect=True)
async def test_the_refusal_names_the_quota_its_bound_and_what_is_used(
    client: AsyncClient, ada: Person, bob: Person
) -> None:
    post_id = await ada.add("the only one")

    refused = await ada.request("POST", "/posts", json={"text": "one more"})

    assert_problem(refused, 403)
    assert refused.json() == {
        "type": "urn:problem-type:postline:quota-exceeded",
        "title": "Quota is exceeded",
        "status": 403,
        "detail": "You have 1 of at most 1 posts. Delete some first.",
        "quota": "posts",
        "limit": 1,
        "used": 1,
    }
    assert (await limits(ada))["posts"] == {"used": 1, "limit": 1}
    assert 'postline_quota_refused_total{quota="posts"} 1.0' in (await client.get("/metrics")).text
    await bob.add("has room")
    assert (await ada.request("DELETE", f"/posts/{post_id}")).status_code == 204
    await ada.add("has room again")


@pytest.mark.parametrize("settings", [{"max_bytes_per_user": 10}], indirect=True)
async def test_an_edit_is_refused_by_what_it_adds(ada: Person) -> None:
    post_id = await ada.add("12345678")

    refused = await ada.request("PATCH", f"/posts/{post_id}", json={"text": "12345678901"})

    assert_problem(refused, 403)
    assert (refused.json()["quota"], refused.json()["used"]) == ("bytes", 8)
    assert await ada.texts() == ["12345678"]
    assert (await ada.request("PATCH", f"/posts/{post_id}", json={"text": "éééé"})).status_code == 200
    assert (await limits(ada))["bytes"] == {"used": 8, "limit": 10}


@pytest.mark.parametrize("settings", [{"max_posts_per_user": 1}], indirect=True)
async def test_a_retry_of_what_succeeded_needs_no_room_and_a_refusal_is_not_kept(ada: Person) -> None:
    async def post(text: str, key: str) -> Any:
        return await ada.request("POST", "/posts", json={"text": text}, headers={"idempotency-key": key})

    first = await post("first", "a")
    assert_problem(await post("second", "b"), 403)
    replayed = await post("first", "a")

    assert (replayed.status_code, replayed.json()) == (201, first.json())
    assert replayed.headers["idempotency-replayed"] == "true"
    assert_problem(await post("other", "a"), 422)
    await ada.request("DELETE", f"/posts/{first.json()['postID']}")
    second = await post("second", "b")
    assert (second.status_code, "idempotency-replayed" in second.headers) == (201, False)


@pytest.mark.parametrize("settings", [{"max_posts_per_user": 3, "max_bytes_per_user": 10}], indirect=True)
async def test_a_batch_is_refused_by_what_all_of_it_adds(ada: Person) -> None:
    kept, gone = await ada.add("1234"), await ada.add("1234")
    create = {"op": "create", "text": "1"}
    delete = {"op": "delete", "postID": gone}

    async def apply(*operations: dict[str, str]) -> Any:
        return await ada.request(
            "POST", "/posts/batch", json={"operations": operations}, headers={"idempotency-key": "k"}
        )

    refused = [
        await apply(create, create),
        await apply({"op": "update", "postID": kept, "text": "1234567"}),
        await apply(delete, create, create, create),
    ]

    for response in refused:
        assert_problem(response, 403)
    assert [tuple(response.json()[name] for name in ("quota", "limit", "used")) for response in refused] == [
        ("posts", 3, 2),
        ("bytes", 10, 8),
        ("posts", 3, 2),
    ]
    assert await ada.texts() == ["1234", "1234"]
    whole = [delete, create, create, {"op": "update", "postID": kept, "text": "12345678"}]
    applied, replayed = await apply(*whole), await apply(*whole)
    assert (applied.status_code, replayed.content) == (200, applied.content)
    shown = await limits(ada)
    assert (shown["posts"]["used"], shown["bytes"]["used"]) == (3, 10)


@pytest.mark.parametrize("settings", [{"max_posts_per_user": 4}], indirect=True)
@pytest.mark.parametrize("policies", [Policies(imports=ImportPolicy(batch_posts=3))], ids=["three posts a transaction"])
async def test_an_import_stops_at_the_bound_and_keeps_what_it_has_committed(ada: Person, bob: Person) -> None:
    async def send(count: int) -> Any:
        content = as_lines(*map(another, range(count)))
        return await ada.request("POST", "/me/import", content=content, headers=NDJSON)

    refused = await send(5)

    assert_problem(refused, 403)
    problem = refused.json()
    assert [problem[name] for name in ("quota", "limit", "used", "created", "skipped")] == ["posts", 4, 3, 3, 0]
    assert await ada.texts() == ["post 2", "post 1", "post 0"]
    exact = await send(4)
    assert exact.json() == {"created": 1, "skipped": 3, "version": 4}
    assert exact.headers["timeline-version"] == "4"
    again = await send(5)
    assert [again.json()[name] for name in ("used", "created", "skipped")] == [4, 0, 3]
    assert (await limits(ada))["posts"] == {"used": 4, "limit": 4}


@pytest.mark.parametrize("settings", [{"max_webhooks_per_user": 1}], indirect=True)
async def test_webhooks_beyond_a_bound_that_was_set_are_a_quota(ada: Person) -> None:
    created = await ada.request("POST", "/webhooks", json=HOOK)

    refused = await ada.request("POST", "/webhooks", json=HOOK)

    assert_problem(refused, 403)
    assert (refused.json()["quota"], refused.json()["limit"], refused.json()["used"]) == ("webhooks", 1, 1)
    await ada.request("DELETE", f"/webhooks/{created.json()['id']}")
    assert (await ada.request("POST", "/webhooks", json=HOOK)).status_code == 201


async def test_webhooks_beyond_the_ten_that_nobody_set_are_answered_as_ever(ada: Person) -> None:
    for _ in range(10):
        assert (await ada.request("POST", "/webhooks", json=HOOK)).status_code == 201

    refused = await ada.request("POST", "/webhooks", json=HOOK)

    assert_problem(refused, 409)
    assert refused.json()["type"] == "urn:problem-type:postline:too-many-webhooks"


async def test_without_quotas_the_account_shows_what_is_used_and_the_shares(app: Litestar, ada: Person) -> None:
    await ada.add("👋")
    user_id = UUID((await ada.get("/me")).json()["user_id"])

    with app.state.service.open_feeds.hold(user_id):
        shown = await limits(ada)

    assert shown == {
        "posts": {"used": 1, "limit": None},
        "bytes": {"used": 4, "limit": None},
        "webhooks": {"used": 0, "limit": 10},
        "feeds": {"used": 1, "limit": 20},
        "unread_bytes": {"used": 0, "limit": 128 * 1024 * 1024 // 4},
        "writes": None,
    }


@pytest.mark.parametrize("settings", [{"write_rate_limit": "3/hour"}], indirect=True)
async def test_writes_of_a_user_are_limited_whatever_the_session_and_reads_are_not(
    client: AsyncClient, ada: Person, bob: Person
) -> None:
    log_in = await client.post("/auth/login", json={"email": ada.email, "password": "correct horse battery"})
    elsewhere = Person(client, ada.email, log_in.json())
    post_id = await ada.add("one")
    await elsewhere.request("PATCH", f"/posts/{post_id}", json={"text": "two"})
    await ada.request("POST", "/webhooks", json=HOOK)

    for refused in (
        await ada.request("POST", "/posts", json={"text": "four"}),
        await elsewhere.request("DELETE", f"/posts/{post_id}"),
        await ada.request("POST", "/webhooks", json=HOOK),
    ):
        assert_problem(refused, 429)
        assert 3590 <= int(refused.headers["retry-after"]) <= 3600
        assert refused.headers["ratelimit-policy"] == '"writes";q=3;w=3600'
    assert await ada.texts() == ["two"]
    assert (await limits(ada))["writes"] == "3/hour"
    await bob.add("is not concerned")


def test_every_write_of_posts_and_webhooks_is_limited(app: Litestar) -> None:
    paths = ("/posts", "/webhooks", "/me/import")
    writes = {
        (method, route.path): handler.resolve_before_request()
        for route in app.routes
        for handler in getattr(route, "route_handlers", [])
        if isinstance(handler, HTTPRouteHandler) and route.path.startswith(paths)
        for method in handler.http_methods
        if method in {"POST", "PUT", "PATCH", "DELETE"}
    }

    assert ("POST", "/posts") in writes
    assert ("DELETE", "/webhooks/{id:uuid}") in writes
    assert ("POST", "/me/import") in writes
    assert {route for route, hook in writes.items() if hook is not limit_writes} == set()
