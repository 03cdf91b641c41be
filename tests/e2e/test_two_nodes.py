"""Two nodes on one database of which only one has Redis: neither is ever stale."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import Client, Server, migrate, serving
from tests.services import fresh_mariadb_database, redis_url

CHANGES = 20


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    with fresh_mariadb_database() as url:
        settings = {
            "DATABASE_URL": url.render_as_string(hide_password=False),
            "JWT_SECRET": "a secret that both nodes have in common",
        }
        migrate(tmp_path, **settings)
        with (
            serving(tmp_path, settings=settings | {"REDIS_URL": redis_url()}) as with_redis,
            serving(tmp_path, settings=settings) as without,
        ):
            yield with_redis, without


def on(node: Server, person: Client) -> Client:
    return Client(node.url, person.email, person.tokens)


@pytest.mark.parametrize("writer", [0, 1], ids=["written where Redis is", "written where it is not"])
def test_a_list_is_never_older_than_a_write_on_the_other_node(nodes: tuple[Server, Server], writer: int) -> None:
    here = Client.sign_up(nodes[writer].url, "ada@example.com")
    there = on(nodes[1 - writer], here)
    texts: list[str] = []
    for number in range(CHANGES):
        # It is cached there, at the version before.
        assert [post["text"] for post in there.list()] == texts
        here.add(f"post {number}")
        texts.insert(0, f"post {number}")

        assert [post["text"] for post in there.list()] == texts
        assert [post["text"] for post in here.list()] == texts


@pytest.mark.parametrize("revoker", [0, 1], ids=["revoked where Redis is", "revoked where it is not"])
def test_a_session_ends_on_the_other_node_at_once(nodes: tuple[Server, Server], revoker: int) -> None:
    here = Client.sign_up(nodes[revoker].url, "ada@example.com")
    there = on(nodes[1 - revoker], here)
    assert there.list() == []

    assert here.request("POST", "/auth/logout").status_code == 204

    assert there.request("GET", "/posts").status_code == 401
    assert httpx.get(f"{there.url}/health/ready").json() == {"status": "ok"}
