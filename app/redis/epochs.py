"""The row in the database that says whether what is kept outside it may be believed."""

import hashlib
import secrets
from typing import NamedTuple

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from app.database import Database
from models import SharedEpoch

_IDENTITY = text("SHOW VARIABLES WHERE Variable_name IN ('server_uuid', 'server_uid', 'hostname', 'port')")
# Together with Redis' run id, which has 40, it fits into the column.
_IDENTITY_DIGITS = 23


class Epoch(NamedTuple):
    """The number, and which Redis server is believed where it is even."""

    number: int
    server: str


class EpochStore:
    """The row that all processes read again and again.

    It also says which database it stands in. A copy of that one, as a restored backup is, says the same of itself, but
    its server says otherwise: the epoch ends there, and no later one has a number that the other database gives out.
    So does one that another server takes over.

    The row is written in autocommit on a reader's connection: who ends an epoch may hold a writer's already, and if
    many did so at once, none would get a second one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> Epoch:
        """Return the epoch, which is never an even one that began in another database."""
        async with self._database.reading() as connection:
            number, server, database = await self._look(connection)
            if number % 2 == 0 and database != await _identity(connection):
                await self._advance(connection, number, "")
                number, server, _ = await self._look(connection)
        return Epoch(number, server)

    async def advance(self, number: int, server: str = "") -> None:
        """Go on from this epoch to the next, for this Redis server, unless another process has done so."""
        async with self._database.reading() as connection:
            await self._advance(connection, number, server and f"{server}@{await _identity(connection)}")

    async def _look(self, connection: AsyncConnection) -> tuple[int, str, str]:
        row = (await connection.execute(select(col(SharedEpoch.epoch), col(SharedEpoch.server)))).one()
        server, _, database = row.server.partition("@")
        return row.epoch, server, database

    async def _advance(self, connection: AsyncConnection, number: int, server: str) -> None:
        # Odd follows even; drawn, so that a copy of the database goes on with other numbers.
        following = number + 1 + 2 * secrets.randbits(31)
        statement = update(SharedEpoch).where(col(SharedEpoch.epoch) == number)
        await connection.execute(statement.values(epoch=following, server=server))


async def _identity(connection: AsyncConnection) -> str:
    """Return what tells this database from every other one, in few characters."""
    if "identity" not in connection.info:
        # Not all versions have each of them, and none of them alone is never copied, nor anybody else's.
        variables = sorted(map(tuple, (await connection.execute(_IDENTITY)).all()))
        name = await connection.scalar(select(func.database()))
        connection.info["identity"] = hashlib.sha256(repr((variables, name)).encode()).hexdigest()[:_IDENTITY_DIGITS]
    identity: str = connection.info["identity"]
    return identity
