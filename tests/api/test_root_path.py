"""The service below a path of a proxy, which strips that path from requests or does not."""

import re

import pytest
from httpx import AsyncClient
from litestar import Litestar

from app.application import create_app
from app.errors import ConfigurationError
from app.settings import Settings
from tests.api.conftest import serve
from tests.api.people import PASSWORD, Person, assert_problem

ROOT = "/static.app"


@pytest.fixture
def app(settings: Settings) -> Litestar:
    return create_app(settings.model_copy(update={"root_path": ROOT}))


@pytest.fixture(params=[ROOT, ""], ids=["kept", "stripped"])
def prefix(request: pytest.FixtureRequest) -> str:
    """What the proxy leaves of the prefix."""
    return str(request.param)


@pytest.fixture
async def person(client: AsyncClient, prefix: str) -> Person:
    response = await client.post(f"{prefix}/auth/signup", json={"email": "ada@example.com", "password": PASSWORD})
    return Person(client, "ada@example.com", response.json())


async def test_addresses_in_answers_have_the_prefix(person: Person, prefix: str) -> None:
    added = await person.request("POST", f"{prefix}/posts", json={"text": "one"})
    await person.request("POST", f"{prefix}/posts", json={"text": "two"})

    assert added.headers["location"] == f"{ROOT}/posts/{added.json()['postID']}"
    for state in ("miss", "hit"):
        page = await person.get(f"{prefix}/posts?limit=1")
        assert state in page.headers["cache-status"]
        assert re.fullmatch(rf'<{ROOT}/posts\?limit=1&cursor=\d+>; rel="next"', page.headers["link"])


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_pages_load_their_files_below_the_prefix(client: AsyncClient, prefix: str, path: str) -> None:
    page = await client.get(f"{prefix}{path}")

    # But for views of the page itself.
    addresses = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    assert len(addresses) > 2
    for address in addresses:
        assert address.startswith(f"{ROOT}/")
        assert (await client.get(address.removeprefix(ROOT if prefix == "" else ""))).status_code == 200, address
    known = await client.get(f"{prefix}/", headers={"if-none-match": (await client.get("/")).headers["etag"]})
    assert known.status_code == 304


async def test_the_document_names_the_prefix_as_its_server(client: AsyncClient, prefix: str) -> None:
    document = (await client.get(f"{prefix}/openapi.json")).json()

    assert document["servers"] == [{"url": ROOT}]
    assert f'"{ROOT}/openapi.json"' in (await client.get(f"{prefix}/docs/start.js")).text


async def test_the_prefix_alone_is_the_page(client: AsyncClient) -> None:
    assert (await client.get(ROOT)).text == (await client.get(f"{ROOT}/")).text == (await client.get("/")).text


@pytest.mark.parametrize("path", [f"{ROOT}s/posts", f"/x{ROOT}/posts", f"{ROOT}{ROOT}/posts", f"/posts{ROOT}/posts"])
async def test_the_prefix_is_stripped_once_and_only_from_the_front(client: AsyncClient, path: str) -> None:
    assert_problem(await client.get(path), 404)


async def test_a_prefix_that_the_server_was_started_with_is_stripped_too(client: AsyncClient, app: Litestar) -> None:
    sent = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": f"/outer{ROOT}/health/live",
        "raw_path": b"",
        "query_string": b"",
        "root_path": "/outer",
        "headers": [(b"host", b"x")],
        "client": None,
        "server": None,
        "state": {},
    }
    await app(scope, receive, send)  # type: ignore[arg-type]

    assert sent[0]["status"] == 200


@pytest.mark.parametrize("root_path", ["/posts", "/posts/events", "/static", "/docs", "/health"])
def test_an_address_of_the_service_is_no_prefix(settings: Settings, root_path: str) -> None:
    with pytest.raises(ConfigurationError, match="ROOT_PATH"):
        create_app(settings.model_copy(update={"root_path": root_path}))


async def test_without_a_prefix_nothing_changes(settings: Settings) -> None:
    async with serve(create_app(settings)) as client:
        assert (await client.get("/openapi.json")).json()["servers"] == [{"url": "/"}]
        assert (await client.get("/")).text.count('"/static/') == 5
