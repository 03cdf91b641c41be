"""Waiting until a transaction waits for another one's lock, on MariaDB and MySQL."""

import asyncio

from sqlalchemy import text

from app.database.engines import Database

_ON_MARIADB = """
    SELECT 1 FROM information_schema.innodb_trx JOIN information_schema.processlist ON id = trx_mysql_thread_id
    WHERE db = DATABASE() AND trx_state = 'LOCK WAIT'
"""
# There, `innodb_trx` ends with an error: the statements that it quotes hold bytes, and its columns are of utf8mb3.
_ON_MYSQL = """
    SELECT 1 FROM performance_schema.data_locks WHERE object_schema = DATABASE() AND lock_status = 'WAITING'
"""


async def until_someone_waits_for_a_lock(database: Database) -> None:
    async with asyncio.timeout(30):
        while not await _someone_waits(database):  # noqa: ASYNC110 - it happens in the database
            # InnoDB renews what it tells ten times a second at most.
            await asyncio.sleep(0.15)


async def _someone_waits(database: Database) -> bool:
    async with database.reading() as connection:
        is_mariadb = connection.dialect.is_mariadb  # type: ignore[attr-defined]
        return (await connection.execute(text(_ON_MARIADB if is_mariadb else _ON_MYSQL))).first() is not None
