"""One account's mass of changes, and the webhooks of another, in a started server."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import URL, insert, select, update
from sqlmodel import col

from app.database.engines import Database
from events.types import PostCreatedEvent
from models import ListenerProgress, StoredEvent, User
from models.columns import now
from tests.conftest import sqlite_url
from tests.e2e.server import Client, free_port, migrate, serving
from tests.receiver import receiving
from tests.services import fresh_mariadb_database

BACKLOG = 20_000


@pytest.fixture(params=["SQLite", "MariaDB"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[URL]:
    if request.param == "SQLite":
        yield sqlite_url(tmp_path / "data" / "postline.db")
        return
    with fresh_mariadb_database() as url:
        migrate(tmp_path, DATABASE_URL=url.render_as_string(hide_password=False))
        yield url


async def write_much(url: URL, user_id: UUID) -> None:
    """Give the user a backlog of events, as if a mass of posts had just been written."""
    database = Database(url, pool_size=1)
    events = [
        PostCreatedEvent(user_id=user_id, post_id=uuid4(), version=number + 1, occurred_at=now())
        for number in range(BACKLOG)
    ]
    async with database.writer.begin() as connection:
        await connection.execute(insert(StoredEvent), [StoredEvent.values_of(event) for event in events])
        await connection.execute(
            update(User).where(col(User.id) == user_id).values(timeline_version=BACKLOG, undelivered_since=now())
        )
    await database.close()


async def progress(url: URL, user_id: UUID) -> int:
    database = Database(url, pool_size=1)
    row = await database.first(select(col(ListenerProgress.version)).where(col(ListenerProgress.user_id) == user_id))
    await database.close()
    return 0 if row is None else row.version


def test_a_mass_of_changes_of_one_account_does_not_delay_the_webhooks_of_another(tmp_path: Path, url: URL) -> None:
    settings = {"WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8", "DATABASE_URL": url.render_as_string(hide_password=False)}
    port = free_port()
    with receiving() as of_busy, receiving() as of_other:
        with serving(tmp_path, port=port, settings=settings) as server:
            busy = Client.sign_up(server.url, "busy@example.com")
            other = Client.sign_up(server.url, "other@example.com")
            busy.request("POST", "/webhooks", json={"url": of_busy.url})
            other.request("POST", "/webhooks", json={"url": of_other.url})
            busy_id = UUID(busy.request("GET", "/me").json()["user_id"])
        asyncio.run(write_much(url, busy_id))

        with serving(tmp_path, port=port, settings=settings):
            other.add("a single post")
            of_other.wait_for(1)
            reached = asyncio.run(progress(url, busy_id))

    assert reached < BACKLOG / 2
