"""Databases, for every test that needs one: migrated, empty, and of both kinds."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck
from pydantic import SecretStr
from sqlalchemy import URL, delete, make_url, true

from app.database import schema
from app.database.engines import Database
from app.settings import Settings
from models import Erasure, Invitation, Mail, User, Webhook
from models.erasure import OWNED
from tests.services import fresh_mariadb_database

# The same examples every time, however busy the machine is. `--hypothesis-profile=default` draws others.
hypothesis.settings.register_profile(
    "postline", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis.settings.load_profile("postline")

IN_MEMORY = make_url("sqlite+aiosqlite:///:memory:")

on_every_database = pytest.mark.parametrize("database_url", ["sqlite-memory", "sqlite", "mariadb"], indirect=True)
"""Marks a module whose tests also run on a database in memory."""

SECRET = "a secret for tests that is long enough to be taken"


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "template.db"
    _migrate(sqlite_url(path))
    return path


@pytest.fixture(scope="session")
def migrated_mariadb() -> Iterator[URL]:
    with fresh_mariadb_database() as url:
        _migrate(url)
        yield url


@pytest.fixture(params=["sqlite", "mariadb"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """A migrated, empty database: each test that asks runs on both kinds, or on those that it is parametrised with."""
    return migrated(request.param, request, tmp_path)


def migrated(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """Return a migrated, empty database of a kind: `sqlite`, `mariadb`, or `sqlite-memory`, which its user migrates."""
    if kind == "sqlite-memory":
        return IN_MEMORY
    if kind == "sqlite":
        path = tmp_path / "test.db"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
        return sqlite_url(path)
    url: URL = request.getfixturevalue("migrated_mariadb")
    asyncio.run(_empty(url))
    return url


@pytest.fixture
async def database(database_url: URL) -> AsyncIterator[Database]:
    database = Database(database_url, pool_size=10)
    if database.is_in_memory:
        await schema.upgrade(database)
    yield database
    await database.close()


@pytest.fixture
def settings(database_url: URL, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


def settings_for(url: URL, data_dir: Path) -> Settings:
    """Settings on a database, with passwords that are cheap to hash."""
    return Settings(
        _env_file=None,  # pyright: ignore[reportCallIssue] - pydantic-settings takes it at run time
        database_url=url.render_as_string(hide_password=False),
        data_dir=data_dir,
        jwt_secret=SecretStr(SECRET),
        argon2_memory_kib=8,
        argon2_iterations=1,
        auth_rate_limit="100000/minute",
        failure_limits="100000/minute",
    )


def sqlite_url(path: Path) -> URL:
    return URL.create("sqlite+aiosqlite", database=str(path))


def _migrate(url: URL) -> None:
    async def migrate() -> None:
        database = Database(url, pool_size=1)
        await schema.upgrade(database)
        await database.close()

    asyncio.run(migrate())


async def _empty(url: URL) -> None:
    database = Database(url, pool_size=1)
    async with database.writer.begin() as connection:
        for model in (Invitation, Mail, Webhook, User, *(owner.class_ for owner, *_ in OWNED), Erasure):
            await connection.execute(delete(model).where(true()))
    await database.close()
