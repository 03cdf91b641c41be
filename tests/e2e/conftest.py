"""The service in its three sizes, each started once, and settings for those that a test starts itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.server import Server, migrate, serving
from tests.services import fresh_mariadb_database, redis_url


@pytest.fixture(
    scope="session",
    params=["one process on SQLite", "four processes on MariaDB", "four processes on MariaDB and Redis"],
)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    if request.param == "one process on SQLite":
        with serving(folder) as started:
            yield started
        return
    with fresh_mariadb_database() as url:
        settings = {
            "ENVIRONMENT": "development",
            "DEVELOPMENT_DATABASE_URL": url.render_as_string(hide_password=False),
        }
        if "Redis" in request.param:
            settings["REDIS_URL"] = redis_url()
        migrate(folder, **settings)
        with serving(folder, workers=4, settings=settings) as started:
            yield started


@pytest.fixture(params=["SQLite", "MariaDB"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Settings for a service in `tmp_path` on each kind of database, whose webhooks may call this machine."""
    allowed = {"WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}
    if request.param == "SQLite":
        yield allowed
        return
    with fresh_mariadb_database() as url:
        settings = allowed | {"DATABASE_URL": url.render_as_string(hide_password=False)}
        migrate(tmp_path, **settings)
        yield settings
