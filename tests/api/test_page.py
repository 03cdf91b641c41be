"""The page's files: what they are sent as, that they are kept, and that they are all there is."""

import base64
import json
import re
from hashlib import sha256

import pytest
from httpx import AsyncClient

from app.application import serve_over_http
from app.service import build_service
from app.settings import Environment, Settings
from controllers.page_version import FILES
from tests.api.conftest import serve
from tests.api.people import assert_problem


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html"),
        ("/static/page.js", "text/javascript"),
        ("/static/account.js", "text/javascript"),
        ("/static/session.js", "text/javascript"),
        ("/static/style.css", "text/css"),
        ("/static/icon.svg", "image/svg+xml"),
        ("/static/manifest.webmanifest", "application/manifest+json"),
        ("/service-worker.js", "text/javascript"),
        ("/docs/assets/swagger-ui-bundle.js", "text/javascript"),
    ],
)
async def test_a_file_is_sent_once_and_asked_for_each_time(client: AsyncClient, path: str, media_type: str) -> None:
    sent = await client.get(path)
    again = await client.get(path, headers={"if-none-match": sent.headers["etag"]})
    changed = await client.get(path, headers={"if-none-match": '"another"'})

    assert (sent.status_code, bool(sent.content)) == (200, True)
    assert sent.headers["content-type"].partition(";")[0] == media_type
    assert sent.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == sent.headers["etag"]
    assert (changed.status_code, changed.content) == (200, sent.content)


async def test_the_page_runs_its_own_files_and_nothing_else(client: AsyncClient) -> None:
    page = await client.get("/")
    policy = page.headers["content-security-policy"].split("; ")

    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"} <= set(policy)
    assert "unsafe" not in page.headers["content-security-policy"]
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", page.text)
    for address in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert (await client.get(address)).status_code == 200, address


@pytest.mark.parametrize(
    "path", ["/static/nope.js", "/static/../page.py", "/static/%2e%2e/page.py", "/static/%00", f"/static/{'a' * 300}"]
)
async def test_there_is_no_other_file(client: AsyncClient, path: str) -> None:
    assert_problem(await client.get(path), 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_the_page_is_only_read(client: AsyncClient, method: str) -> None:
    assert_problem(await client.request(method, "/"), 405)


@pytest.mark.parametrize(("environment", "is_offered"), [("development", True), ("production", False)])
async def test_the_page_offers_a_new_password_where_the_service_can_mail_a_link(
    settings: Settings, environment: str, *, is_offered: bool
) -> None:
    settings = settings.model_copy(update={"environment": Environment(environment)})
    async with serve(serve_over_http(build_service(settings))) as client:
        page = await client.get("/")

    assert 'id="forgot" class="quiet"' in page.text
    assert ("hidden data-needs-mail" not in page.text) is is_offered


async def test_the_service_worker_knows_every_file_by_its_digest(client: AsyncClient) -> None:
    script = (await client.get("/service-worker.js")).text
    found = re.search(r"const FILES = (\{.*?\});", script, re.DOTALL)
    assert found is not None
    files: dict[str, str] = json.loads(found[1])

    names = {path.name for path in FILES.iterdir()} - {"service-worker.js"}
    assert set(files) == {"./", *(f"static/{name}" for name in names)}
    assert (await client.get("/")).headers["etag"] in script.partition("\n")[0]
    for path, digest in files.items():
        content = (await client.get(f"/{path.removeprefix('./')}")).content
        assert digest == f"sha256-{base64.b64encode(sha256(content).digest()).decode()}"


async def test_the_manifest_names_icons_that_exist(client: AsyncClient) -> None:
    manifest = (await client.get("/static/manifest.webmanifest")).json()

    assert (manifest["start_url"], manifest["scope"]) == ("..", "..")
    for icon in manifest["icons"]:
        assert (await client.get(f"/static/{icon['src']}")).headers["content-type"] == icon["type"]


async def test_the_page_is_no_part_of_the_contract(client: AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]

    assert not [path for path in paths if path == "/" or path.startswith("/static")]
