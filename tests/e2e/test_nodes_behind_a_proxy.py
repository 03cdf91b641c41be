"""Two nodes behind the proxy of docker-compose.scale.yml, of which one is killed."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import Client, Server, free_port, migrate, serving
from tests.proxies import caddy_to_nodes
from tests.scraping import samples
from tests.services import fresh_mariadb_database

POSTS = 3
READS = 10
ATTEMPTS = 20


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[Server]]:
    with fresh_mariadb_database() as url:
        settings = {
            "DATABASE_URL": url.render_as_string(hide_password=False),
            "JWT_SECRET": "a secret that both nodes have in common",
            "TRUSTED_PROXIES": "127.0.0.1",
        }
        migrate(tmp_path, **settings)
        with serving(tmp_path, settings=settings) as one, serving(tmp_path, settings=settings) as other:
            yield [one, other]


@pytest.fixture
def proxy(nodes: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with caddy_to_nodes([node.url for node in nodes], free_port(), tmp_path_factory.mktemp("proxy")) as url:
        yield url


def test_no_post_is_lost_and_no_list_refused_when_a_node_is_killed(nodes: list[Server], proxy: str) -> None:
    ada = Client.sign_up(proxy, "ada@example.com")
    post_ids = [add(ada, f"before-{number}") for number in range(POSTS)]
    nodes[0].kill()

    for number in range(POSTS):
        post_ids.append(add(ada, f"after-{number}"))
        for _ in range(READS):
            assert [post["postID"] for post in ada.list()] == post_ids[::-1]


def test_a_feed_goes_on_at_another_node_when_its_own_is_killed(nodes: list[Server], proxy: str) -> None:
    ada = Client.sign_up(proxy, "ada@example.com")
    before = add(ada, "before")
    with feed(proxy, ada, after=0) as post_ids:
        assert next(post_ids) == before
        (its_node,) = [node for node in nodes if open_feeds(node) == 1]
        its_node.kill()
        # Caddy ends the answer, and newer versions say that it is not complete.
        with suppress(httpx.RemoteProtocolError):
            assert next(post_ids, None) is None

    after = add(ada, "after")

    with feed(proxy, ada, after=1) as post_ids:
        assert next(post_ids) == after


def add(person: Client, text: str) -> str:
    """Add a post as a client should: the same request again, until the service and not the proxy answers."""

    def send() -> httpx.Response:
        return person.request("POST", "/posts", json={"text": text}, headers={"idempotency-key": text})

    # Newer versions of Caddy send it to the other node themselves.
    added = next((answer for answer in (send() for _ in range(ATTEMPTS)) if answer.status_code != 502), None)
    assert added is not None
    assert added.status_code == 201, added.text
    post_id: str = added.json()["postID"]
    return post_id


@contextmanager
def feed(url: str, person: Client, *, after: int) -> Iterator[Iterator[str]]:
    """Open a feed after a version, and yield the posts whose changes it shows."""
    headers = {"authorization": f"Bearer {person.tokens['access_token']}", "last-event-id": str(after)}
    with httpx.stream("GET", f"{url}/posts/events", headers=headers, timeout=30) as answer:
        lines = (line for line in answer.iter_lines() if line.startswith("data: "))
        yield (json.loads(line.removeprefix("data: "))["postID"] for line in lines)


def open_feeds(node: Server) -> float:
    return samples(httpx.get(f"{node.url}/metrics").text)['postline_share_used{share="feeds"}']
