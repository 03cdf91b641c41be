"""Where Redis may be."""

from pathlib import Path

import pytest

from app.database import Database
from app.delivery.wakeups import Wakeups
from app.redis.shared import share
from app.settings import Settings
from tests.conftest import sqlite_url


@pytest.mark.parametrize(
    "url",
    ["redis://127.0.0.1/0", "redis://", "rediss://:secret@redis.example:6380/1", "unix:///run/redis.sock"],
)
async def test_every_address_that_the_settings_take_can_be_used(url: str, tmp_path: Path) -> None:
    settings = Settings(_env_file=None, redis_url=url, database_url="mysql://localhost/x", data_dir=tmp_path)  # pyright: ignore[reportCallIssue]

    shared = share(settings.redis_url or "", Database(sqlite_url(tmp_path / "any.db"), pool_size=1), Wakeups())

    assert shared.is_degraded
