"""The OpenAPI document and its page."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient
from jsonschema import Draft202012Validator
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from openapi_spec_validator import validate

from tests.api.document import operations
from tests.api.people import PASSWORD, Person, assert_problem

ROOT = Path(__file__).resolve().parents[2]
OPTIONAL = {
    "Problem": {"errors", "quota", "limit", "used", "version", "reason"},
    "SignUp": {"invite"},
    "ImportProblem": {"errors", "quota", "limit", "used", "version", "reason", "line", "created", "skipped"},
    "WebhookCreate": {"events"},
    "PersonalTokenCreate": {"expires_at"},
    "WebhookUpdate": {"enabled", "url", "events"},
    "UpdateOperation": {"if_version"},
    "DeleteOperation": {"if_version"},
}
PUBLIC = {"/auth/signup", "/auth/login", "/auth/refresh", "/health/live", "/health/ready", "/metrics"} | {
    "/auth/password-reset",
    "/auth/password-reset/confirm",
    "/me/email/confirm",
}


@pytest.fixture
async def document(client: AsyncClient) -> dict[str, Any]:
    response = await client.get("/openapi.json")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    body: dict[str, Any] = response.json()
    return body


async def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    validate(document)


async def test_a_change_of_the_document_shows_in_the_repository(document: dict[str, Any]) -> None:
    kept = json.loads((ROOT / "docs/openapi.json").read_text())

    assert document == kept, "where the change is meant, run: make contract"


def handlers(app: Litestar) -> dict[tuple[str, str], HTTPRouteHandler]:
    """Return the application's handlers, by method and path, except those that are made for HEAD and OPTIONS."""
    return {
        (method.lower(), route.path_format): handler
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method, (handler, _) in route.route_handler_map.items()
        if method not in {"HEAD", "OPTIONS"}
    }


async def test_it_lists_every_route(app: Litestar, document: dict[str, Any]) -> None:
    served = {route for route, handler in handlers(app).items() if handler.resolve_include_in_schema()}

    assert operations(document).keys() == served
    assert ("get", "/posts") in served


async def test_every_route_that_needs_a_token_or_a_body_says_how_it_refuses(document: dict[str, Any]) -> None:
    for route, item in operations(document).items():
        statuses = {int(status) for status in item["responses"]}
        assert min(statuses) < 300, route
        if item["security"] == [{"bearer": []}]:
            assert statuses >= {401, 503}, route
        if "requestBody" in item:
            assert statuses >= {400, 413, 415}, route


async def test_every_operation_has_an_id_of_its_own_and_a_summary(document: dict[str, Any]) -> None:
    ids = [item["operationId"] for item in operations(document).values()]

    assert all(re.fullmatch(r"[a-z][A-Za-z]+", name) for name in ids)
    assert len(set(ids)) == len(ids)
    assert all(item["summary"] and item["description"] and item["tags"] for item in operations(document).values())


async def test_every_error_is_described_as_a_problem_document(document: dict[str, Any]) -> None:
    for route, item in operations(document).items():
        for status, answer in item["responses"].items():
            if int(status) >= 400:
                content = answer["content"]["application/problem+json"]
                assert content["schema"]["$ref"].endswith(("/Problem", "/ImportProblem")), route
                assert answer["description"]


async def test_every_body_and_success_has_an_example(document: dict[str, Any]) -> None:
    for item in operations(document).values():
        bodies = [item["requestBody"]] if "requestBody" in item else []
        answers = [answer for status, answer in item["responses"].items() if status in {"200", "201"}]
        for body in bodies + answers:
            for media in body["content"].values():
                assert media.get("example") or media.get("examples"), item["operationId"]


async def test_every_error_documents_the_headers_that_say_what_to_do(document: dict[str, Any]) -> None:
    asked = {
        "401": {"WWW-Authenticate"},
        "429": {"Retry-After", "RateLimit", "RateLimit-Policy"},
        "503": {"Retry-After"},
    }

    for item in operations(document).values():
        for status, headers in asked.items():
            assert set(item["responses"].get(status, {}).get("headers", headers)) == headers


async def test_no_field_is_null_by_default_and_no_204_has_content(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        assert [name for name, field in schema.get("properties", {}).items() if field.get("default", 0) is None] == []
    for item in operations(document).values():
        assert "content" not in item["responses"].get("204", {}), item["operationId"]


async def test_a_304_documents_what_it_repeats(document: dict[str, Any]) -> None:
    listed = document["paths"]["/posts"]["get"]["responses"]["304"]
    read = document["paths"]["/posts/{postID}"]["get"]["responses"]["304"]

    assert (set(listed["headers"]), set(read["headers"])) == ({"ETag", "Cache-Status"}, {"ETag"})


async def test_an_answer_always_has_all_its_fields(document: dict[str, Any]) -> None:
    bodies = {
        media["schema"]["$ref"].rpartition("/")[2]
        for item in operations(document).values()
        for media in item.get("requestBody", {}).get("content", {}).values()
        if "$ref" in media["schema"]
    } | {"CreateOperation", "UpdateOperation", "DeleteOperation"}

    for name, schema in document["components"]["schemas"].items():
        optional = set(schema.get("properties", {})) - set(schema.get("required", []))
        assert optional == OPTIONAL.get(name, set())
        assert (schema.get("additionalProperties") is False) == (name in bodies)


async def test_head_is_documented_as_get_without_content(document: dict[str, Any]) -> None:
    for item in document["paths"].values():
        assert ("head" in item) == ("get" in item)
    listed, headers = document["paths"]["/posts"]["get"], document["paths"]["/posts"]["head"]

    assert headers["operationId"] == "listPostsHeaders"
    assert headers["parameters"] == listed["parameters"]
    assert headers["responses"].keys() == listed["responses"].keys()
    assert headers["responses"]["200"]["headers"] == listed["responses"]["200"]["headers"]
    assert "content" not in headers["responses"]["200"]


async def test_patch_documents_what_it_takes(document: dict[str, Any]) -> None:
    for (method, _), item in operations(document).items():
        if method == "patch":
            assert set(item["requestBody"]["content"]) == {"application/json", "application/merge-patch+json"}
            assert "Accept-Patch" in item["responses"]["415"]["headers"]


async def test_answers_may_grow_by_values_but_requests_may_not(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    assert schemas["WebhookCreate"]["properties"]["events"]["items"] == {"$ref": "#/components/schemas/EventType"}
    assert schemas["EventType"]["enum"] == ["post.created", "post.updated", "post.deleted"]
    assert "enum" not in schemas["WebhookRead"]["properties"]["events"]["items"]
    assert "post.created" in schemas["WebhookRead"]["properties"]["events"]["items"]["x-extensible-enum"]


async def test_what_the_feed_and_webhooks_send_is_described(document: dict[str, Any]) -> None:
    media = document["paths"]["/posts/events"]["get"]["responses"]["200"]["content"]["text/event-stream"]
    types = document["components"]["schemas"]["EventType"]["enum"]

    assert set(media["x-event-data"]) == {*types, "reset"}
    assert set(document["webhooks"]) == set(types)
    for name, webhook in document["webhooks"].items():
        (content,) = webhook["post"]["requestBody"]["content"].values()
        assert content["example"]["data"]["type"] == name
        schema = {"components": document["components"], **content["schema"]}
        Draft202012Validator(schema).validate(content["example"])


async def test_text_that_is_refused_is_refused_by_the_document(document: dict[str, Any]) -> None:
    text = document["components"]["schemas"]["PostCreate"]["properties"]["text"]

    assert re.search(text["pattern"], "a\nb\n\U0001f44b")
    assert not re.search(text["pattern"], "a\x00b")


async def test_every_link_leads_to_an_operation_that_takes_its_parameters(document: dict[str, Any]) -> None:
    taken = {
        item["operationId"]: {f"{parameter['in']}.{parameter['name']}" for parameter in item.get("parameters", [])}
        for item in operations(document).values()
    }
    linked = 0

    for item in operations(document).values():
        for answer in item["responses"].values():
            for link in answer.get("links", {}).values():
                linked += 1
                assert set(link.get("parameters", {})) <= taken[link["operationId"]]

    assert linked


async def test_no_header_stands_in_for_the_security_scheme(document: dict[str, Any]) -> None:
    headers = {
        parameter["name"]
        for item in operations(document).values()
        for parameter in item.get("parameters", [])
        if parameter["in"] == "header"
    }

    assert headers == {"Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID"}
    assert document["paths"]["/auth/login"]["post"]["security"] == [{}, {"bearer": []}]


async def test_security_is_asked_of_all_but_the_public_routes(app: Litestar, document: dict[str, Any]) -> None:
    secured = {route for route, item in operations(document).items() if item.get("security") == [{"bearer": []}]}
    public = {route for route, handler in handlers(app).items() if handler.opt.get("exclude_from_auth")}

    assert secured == operations(document).keys() - public
    assert {path for _, path in operations(document).keys() & public} == PUBLIC
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert "security" not in document
    assert all("security" in item for item in operations(document).values())


async def test_schema_names_carry_no_framework_noise(document: dict[str, Any]) -> None:
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+", name) for name in document["components"]["schemas"])


async def test_the_documented_examples_are_taken(document: dict[str, Any], client: AsyncClient) -> None:
    body = document["paths"]["/auth/signup"]["post"]["requestBody"]["content"]["application/json"]
    example = body["example"]

    assert (await client.post("/auth/signup", json=example)).status_code == 201
    assert example["password"] == PASSWORD


async def test_the_page_and_all_it_needs_come_from_here(client: AsyncClient) -> None:
    page = await client.get("/docs")

    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "//" not in page.text.replace("<!doctype", "")
    assert "<script>" not in page.text
    for path in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        response = await client.get(path)
        assert (response.status_code, bool(response.content)) == (200, True), path


async def test_the_document_is_at_one_address(client: AsyncClient) -> None:
    assert_problem(await client.get("/docs/openapi.json"), 404)


async def test_the_document_is_what_the_command_line_prints(app: Litestar, document: dict[str, Any]) -> None:
    assert app.openapi_schema.to_schema() == document


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/auth/login", {"email": "nobody@example.com", "password": PASSWORD}, 401),
        ("/auth/signup", {"email": "ada@example.com", "password": PASSWORD}, 409),
        ("/auth/signup", {"email": "ada@example.com"}, 400),
        ("/auth/signup", {"email": "ada@example.com", "password": PASSWORD, "more": "a" * 1_048_576}, 413),
        ("/posts", {"text": "hello"}, 401),
    ],
    ids=["a wrong password", "a taken address", "a missing field", "too much", "no token"],
)
async def test_the_documented_problems_are_those_that_are_answered(
    document: dict[str, Any], ada: Person, path: str, body: dict[str, str], status: int
) -> None:
    (content,) = operations(document)["post", path]["responses"][str(status)]["content"].values()

    problem = (await ada.client.post(path, json=body)).json()

    told = ("type", "title", "status")
    assert [problem[name] for name in told] == [content["example"][name] for name in told]
