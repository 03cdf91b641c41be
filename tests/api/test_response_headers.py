"""Headers that protect a browser, keep caches apart, and let other sites in only where configured."""

from uuid import UUID

import pytest
from httpx import AsyncClient
from litestar import Litestar
from uuid_utils.compat import uuid7

from app.application import create_app
from app.settings import Settings
from tests.api.conftest import serve
from tests.api.people import Person, assert_problem

PROTECTION = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@pytest.mark.parametrize("path", ["/", "/static/page.js", "/posts", "/nope", "/docs", "/openapi.json", "/health/live"])
async def test_every_answer_is_protected(client: AsyncClient, path: str) -> None:
    response = await client.get(path)

    assert {name: response.headers.get(name) for name in PROTECTION} == PROTECTION
    assert response.headers["content-security-policy"].startswith("default-src 'none'; ")
    names = [name for name, _ in response.headers.multi_items()]
    assert len(names) == len(set(names))


async def test_what_a_person_sees_is_not_for_shared_caches(ada: Person) -> None:
    await ada.add("hello")
    for path, options in (
        ("/posts", {}),
        ("/posts", {}),
        ("/posts", {"headers": {"if-none-match": '"1"'}}),
    ):
        response = await ada.get(path, **options)
        assert response.headers["cache-control"] == "private, no-cache"
        assert response.headers["vary"] == "Authorization"


@pytest.mark.parametrize("path", ["/me", "/me/export", "/auth/sessions", "/webhooks"])
async def test_what_can_not_be_asked_for_again_by_its_tag_is_not_for_any_cache(ada: Person, path: str) -> None:
    assert (await ada.get(path)).headers["cache-control"] == "no-store"


async def test_tokens_and_refusals_are_not_for_any_cache(client: AsyncClient) -> None:
    signed_up = await client.post(
        "/auth/signup", json={"email": "ada@example.com", "password": "correct horse battery"}
    )

    assert signed_up.headers["cache-control"] == "no-store"
    assert (await client.get("/posts")).headers["cache-control"] == "no-store"


async def test_an_answer_that_there_is_no_room_for_is_refused_with_each_header_once(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"spool_max_bytes": 0}))
    memory = app.state.large_answers.memory
    async with serve(app) as client:
        ada = await Person.sign_up(client, "ada@example.com")
        post_id = await ada.add("a" * 100_000)

        with memory.hold(UUID((await ada.get("/me")).json()["user_id"]), memory.per_key):
            refused = await ada.get(f"/posts/{post_id}")

    assert_problem(refused, 429)
    names = [name for name, _ in refused.headers.multi_items()]
    assert len(names) == len(set(names))
    assert {name: refused.headers[name] for name in PROTECTION} == PROTECTION
    assert refused.headers["cache-control"] == "no-store"


async def test_another_site_is_let_in_nowhere_by_default(ada: Person) -> None:
    response = await ada.get("/posts", headers={"origin": "https://site.example"})

    assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.fixture
def open_app(settings: Settings) -> Litestar:
    return create_app(settings.model_copy(update={"cors_allowed_origins": ("https://site.example",)}))


async def test_a_configured_site_is_let_in_and_no_other(open_app: Litestar) -> None:
    preflight = {"access-control-request-method": "PATCH", "access-control-request-headers": "authorization,if-match"}
    async with serve(open_app) as client:
        allowed = await client.options("/posts", headers={"origin": "https://site.example"} | preflight)
        refused = await client.options("/posts", headers={"origin": "https://other.example"} | preflight)
        answer = await client.get("/health/live", headers={"origin": "https://site.example"})
        ada = await Person.sign_up(client, "ada@example.com")
        listed = await ada.get("/posts", headers={"origin": "https://site.example"})

    assert allowed.headers["access-control-allow-origin"] == "https://site.example"
    assert "PATCH" in allowed.headers["access-control-allow-methods"]
    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers
    assert {"Origin", "Authorization"} <= set(listed.headers["vary"].replace(" ", "").split(","))
    assert "etag" in answer.headers["access-control-expose-headers"].lower()


def operations_of(app: Litestar) -> list[tuple[str, str]]:
    """Return method and path of each operation, HEAD for each GET among them."""
    return [
        (method.upper(), path.replace("{postID}", str(uuid7())).replace("{id}", str(uuid7())))
        for path, item in app.openapi_schema.to_schema()["paths"].items()
        for method in item
    ]


@pytest.mark.parametrize(
    "headers",
    [
        "authorization,content-type,if-match,if-none-match,idempotency-key,last-event-id,x-request-id",
        "authorization,cache-control",
        "authorization,baggage,traceparent,tracestate",
        "accept,authorization,pragma,x-requested-with",
        "sentry-trace,x-datadog-trace-id,b3",
    ],
)
async def test_a_configured_site_may_send_any_header_to_every_operation(open_app: Litestar, headers: str) -> None:
    async with serve(open_app) as client:
        for method, path in operations_of(open_app):
            answer = await client.options(
                path,
                headers={
                    "origin": "https://site.example",
                    "access-control-request-method": method,
                    "access-control-request-headers": headers,
                },
            )

            assert (answer.status_code, answer.content) == (204, b""), (method, path)
            assert answer.headers["access-control-allow-origin"] == "https://site.example"
            assert method in answer.headers["access-control-allow-methods"].split(", ")
            assert set(headers.split(",")) <= set(answer.headers["access-control-allow-headers"].split(", "))
            assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "preflight",
    [
        {"origin": "https://other.example", "access-control-request-method": "GET"},
        {"origin": "https://site.example.evil.example", "access-control-request-method": "GET"},
        {"origin": "null", "access-control-request-method": "GET"},
        {"origin": "https://site.example", "access-control-request-method": "TRACE"},
    ],
)
async def test_another_site_and_another_method_are_refused(open_app: Litestar, preflight: dict[str, str]) -> None:
    async with serve(open_app) as client:
        answer = await client.options("/posts", headers=preflight)

    assert answer.status_code == 400
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/posts", "/nowhere", "/posts/events?after=x"])
async def test_a_configured_site_can_read_errors_too(open_app: Litestar, path: str) -> None:
    async with serve(open_app) as client:
        answer = await client.get(path, headers={"origin": "https://site.example"})

    assert answer.status_code in {401, 404}
    assert answer.headers["access-control-allow-origin"] == "https://site.example"


@pytest.mark.parametrize(
    ("host", "is_served"),
    [
        ("api.example.com", True),
        ("API.example.com:8000", True),
        ("api.example.com.", True),
        ("api.example.com.:8000", True),
        ("api.example.com:", True),
        ("[2001:DB8:0::1]:8000", True),
        ("[2001:db8::1]", True),
        ("[2001:db8::2]", False),
        ("[2001:db8::1", False),
        ("2001:db8::1", False),
        ("api.example.com..", False),
        ("api.example.com:x", False),
        ("me@api.example.com", False),
        ("evil.example@api.example.com", False),
        ("", False),
        ("a.example.org", True),
        ("example.org", False),
        ("evil.example", False),
        ("api.example.com.evil.example", False),
        ("[::1]:8000", False),
    ],
)
async def test_only_configured_hosts_are_served(settings: Settings, host: str, is_served: bool) -> None:
    app = create_app(
        settings.model_copy(update={"allowed_hosts": ("api.example.com", "*.example.org", "[2001:db8::1]")})
    )
    async with serve(app) as client:
        response = await client.get("/openapi.json", headers={"host": host})
        health = await client.get("/health/live", headers={"host": host})

    if is_served:
        assert response.status_code == 200
    else:
        assert_problem(response, 400)
    assert health.status_code == 200
