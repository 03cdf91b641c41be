"""Encrypted connections to the database, on every kind of connection."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError

from app.application import create_app
from app.database import schema
from app.database.driver_pool import DriverPool
from app.database.engines import Database
from tests.api.conftest import serve
from tests.api.people import Person
from tests.certificates import Authority
from tests.conftest import settings_for
from tests.mariadb_server import MariaDBServer, mariadb_server


class _Encrypted(NamedTuple):
    server: MariaDBServer
    authority: Path
    other_authority: Path

    def url(self, authority: Path | None) -> URL:
        url = self.server.url().set(username="encrypted")
        return url if authority is None else url.update_query_dict({"ssl_ca": str(authority)})


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Encrypted]:
    """A server that takes a user over TLS only, its authority's certificate, and another authority's."""
    folder = tmp_path_factory.mktemp("mariadb")
    ours, other = Authority("ours"), Authority("another")
    certificate, key = ours.issue(folder, "127.0.0.1")
    with mariadb_server(folder, f"--ssl-cert={certificate}", f"--ssl-key={key}") as server:
        server.execute(
            "CREATE USER encrypted@'127.0.0.1' REQUIRE SSL", "GRANT ALL ON postline.* TO encrypted@'127.0.0.1'"
        )
        yield _Encrypted(server, ours.write(folder / "ours.pem"), other.write(folder / "other.pem"))


async def test_every_connection_is_encrypted_under_the_right_authority(encrypted: _Encrypted, tmp_path: Path) -> None:
    url = encrypted.url(encrypted.authority)
    for answer_seconds in (None, 5):
        database = Database(url, pool_size=1, answer_seconds=answer_seconds)
        await schema.upgrade(database)
        for engine in database.engines.values():
            async with engine.connect() as connection:
                _, cipher = (await connection.execute(text("SHOW STATUS LIKE 'Ssl_cipher'"))).one()
                assert cipher
        await database.close()
    pool = DriverPool(url, 5)
    [(_, cipher)] = await pool.rows("SHOW STATUS LIKE 'Ssl_cipher'")
    assert cipher
    await pool.close()

    async with serve(create_app(settings_for(url, tmp_path))) as client:
        ada = await Person.sign_up(client, "ada@example.com")
        await ada.add("hello")
        assert await ada.texts() == ["hello"]


@pytest.mark.parametrize("is_encrypted", [True, False], ids=["another authority", "no encryption"])
async def test_nothing_is_sent_without_the_right_authority(encrypted: _Encrypted, *, is_encrypted: bool) -> None:
    url = encrypted.url(encrypted.other_authority if is_encrypted else None)
    for answer_seconds in (None, 5):
        database = Database(url, pool_size=1, answer_seconds=answer_seconds)
        for engine in database.engines.values():
            with pytest.raises((DBAPIError, OSError)):
                async with engine.connect():
                    pass
        await database.close()
    with pytest.raises(DBAPIError):
        await DriverPool(url, 5).rows("SELECT 1")
