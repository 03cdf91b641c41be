"""The service behind nginx and Caddy, as docs/operations/nginx.conf, Caddyfile and nodes.Caddyfile set them up."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.certificates import Authority
from tests.e2e.server import Client, free_port, serving
from tests.proxies import caddy_to, caddy_to_nodes, nginx_to

POST_BYTES = 900_000
ATTEMPTS = 5


@contextmanager
def nodes_caddy_to(service: str, port: int, _certificate: Path, _key: Path, folder: Path) -> Iterator[str]:
    with caddy_to_nodes([service], port, folder) as url:
        yield url


@pytest.fixture(scope="module", params=[nginx_to, caddy_to, nodes_caddy_to], ids=["nginx", "Caddy", "Caddy of Compose"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a proxy, in front of a service that takes a few attempts a day from one client."""
    proxy: Callable[..., AbstractContextManager[str]] = request.param
    data, folder = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("proxy")
    certificate, key = Authority("proxies").issue(folder, "127.0.0.1")
    port = free_port()
    settings = {"TRUSTED_PROXIES": "127.0.0.1", "AUTH_RATE_LIMIT": f"{ATTEMPTS}/day"}
    with serving(data, settings=settings) as server, proxy(server.url, port, certificate, key, folder) as url:
        yield url


def test_a_feed_shows_a_change_while_the_answer_goes_on(url: str) -> None:
    ada = Client.sign_up(url, "feed@example.com")
    headers = {"authorization": f"Bearer {ada.tokens['access_token']}"}

    with httpx.stream("GET", f"{url}/posts/events", headers=headers, verify=False, timeout=30) as feed:  # noqa: S501
        lines = feed.iter_lines()
        post_id = ada.add("hello")
        data = next(line for line in lines if line.startswith("data: "))

    assert json.loads(data.removeprefix("data: "))["postID"] == post_id


def test_an_import_may_be_larger_than_other_bodies(url: str) -> None:
    ada, bob = (Client.sign_up(url, f"{name}@example.com") for name in ("export", "import"))
    for letter in "abc":
        ada.add(letter * POST_BYTES)
    export = ada.request("GET", "/me/export").content
    assert len(export) > 3 * POST_BYTES

    imported = bob.request("POST", "/me/import", content=export, headers={"content-type": "application/x-ndjson"})

    assert imported.status_code == 200, imported.text
    assert imported.json()["created"] == 3
    assert [post["text"][0] for post in bob.list()] == ["c", "b", "a"]


def test_a_post_that_is_too_large_is_refused_by_the_service(url: str) -> None:
    ada = Client.sign_up(url, "large@example.com")

    refused = ada.request("POST", "/posts", json={"text": "a" * 1_100_000})

    assert refused.status_code == 413
    assert refused.headers["content-type"] == "application/problem+json"


def test_a_client_has_its_own_address_whatever_it_says(url: str) -> None:
    def attempt(address: str, forged: str) -> int:
        with httpx.Client(transport=httpx.HTTPTransport(local_address=address, verify=False)) as client:
            form = {"refresh_token": "x"}
            return client.post(f"{url}/auth/refresh", json=form, headers={"x-forwarded-for": forged}).status_code

    answers = [attempt("127.0.0.2", f"198.51.100.{number}") for number in range(ATTEMPTS + 1)]
    assert answers == [401] * ATTEMPTS + [429]
    assert attempt("127.0.0.3", "127.0.0.2") == 401


@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "//metrics", "/%6detrics"])
def test_metrics_are_refused(url: str, path: str) -> None:
    assert httpx.get(f"{url}{path}", verify=False).status_code == 403  # noqa: S501
