"""The database users of docs/operations/deployment.md: they may do what the service does, and nothing else."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.application import create_app
from app.database import schema
from app.database.engines import Database
from app.database.server_settings import check_server_settings
from tests.api.conftest import serve
from tests.api.people import PASSWORD, Person
from tests.conftest import settings_for
from tests.mariadb_server import MariaDBServer, mariadb_server

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "operations" / "deployment.md"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MariaDBServer]:
    (statements,) = re.findall(r"^```sql\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    with mariadb_server(tmp_path) as server:
        server.execute(*(each.replace("backend.", "postline.") for each in statements.split(";") if each.strip()))
        yield server


async def test_they_may_do_what_the_service_does(server: MariaDBServer, tmp_path: Path) -> None:
    migrating = Database(server.url().set(username="postline_migrations", password="another password"), pool_size=1)
    await schema.upgrade(migrating)
    await migrating.close()

    url = server.url().set(username="postline", password="a password")
    app = create_app(settings_for(url, tmp_path))
    async with serve(app) as client:
        await check_server_settings(app.state.service.database)
        assert (await client.get("/health/ready")).json() == {"status": "ok"}
        ada = await Person.sign_up(client, "ada@example.com")
        post_id = await ada.add("hello")
        assert (await ada.request("PATCH", f"/posts/{post_id}", json={"text": "bye"})).status_code == 200
        assert await ada.texts() == ["bye"]
        assert (await ada.request("DELETE", f"/posts/{post_id}")).status_code == 204
        assert (await ada.get("/me/export")).status_code == 200
        async with asyncio.timeout(30):
            # Under advisory locks.
            while (await app.state.service.inspection.status())[0].behind:  # noqa: ASYNC110 - it happens elsewhere
                await asyncio.sleep(0.05)
        assert await app.state.service.pruner.prune() >= 0
        assert (await ada.request("DELETE", "/me", json={"password": PASSWORD})).status_code == 204


@pytest.mark.parametrize("statement", ["DROP TABLE users", "CREATE TABLE t (id INT)", "SELECT user FROM mysql.user"])
async def test_the_service_may_do_nothing_else(server: MariaDBServer, statement: str) -> None:
    migrating = Database(server.url().set(username="postline_migrations", password="another password"), pool_size=1)
    await schema.upgrade(migrating)
    await migrating.close()
    database = Database(server.url().set(username="postline", password="a password"), pool_size=1)

    with pytest.raises(DBAPIError, match="denied"):
        async with database.writer.connect() as connection:
            await connection.execute(text(statement))

    await database.close()
