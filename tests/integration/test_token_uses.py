"""The last uses of personal tokens are stored together, and none is lost while the database can't be written."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlmodel import col
from uuid_utils.compat import uuid7

from app.database.engines import Database
from app.storage.token_uses import TokenUses
from models import Session
from models.columns import now
from tests.factories import UserFactory, personal_token


async def stored(database: Database, count: int, **changes: Any) -> list[Session]:
    user = UserFactory.build()
    tokens = [personal_token(user.id, **changes) for _ in range(count)]
    async with database.writing() as session:
        session.add(user)
        await session.flush()
        session.add_all(tokens)
        await session.commit()
    return tokens


async def last_uses(database: Database) -> dict[Any, Any]:
    return {row.id: row.last_used_at for row in await database.rows(select(col(Session.id), col(Session.last_used_at)))}


@pytest.fixture
def uses(database: Database) -> TokenUses:
    return TokenUses(database, timedelta(minutes=5))


async def test_each_used_token_gets_the_time_and_no_other(database: Database, uses: TokenUses) -> None:
    created_at = now() - timedelta(days=1)
    used, unused = await stored(database, 2, created_at=created_at, last_used_at=created_at)
    before = now()
    for _ in range(3):
        uses.note(used.id)

    await uses.tick()

    times = await last_uses(database)
    assert before <= times[used.id] <= now()
    assert times[unused.id] == created_at


async def test_more_tokens_than_one_statement_takes_are_all_stored(database: Database, uses: TokenUses) -> None:
    created_at = now() - timedelta(days=1)
    tokens = await stored(database, 501, created_at=created_at, last_used_at=created_at)
    for token in tokens:
        uses.note(token.id)
    uses.note(uuid7())

    await uses.tick()

    assert min((await last_uses(database)).values()) > created_at


async def test_a_time_never_goes_back(database: Database, uses: TokenUses) -> None:
    ahead = now() + timedelta(seconds=30)
    (token,) = await stored(database, 1, last_used_at=ahead)
    uses.note(token.id)

    await uses.tick()

    assert await last_uses(database) == {token.id: ahead}


async def test_what_could_not_be_stored_is_stored_later(database: Database, uses: TokenUses) -> None:
    created_at = now() - timedelta(days=1)
    (token,) = await stored(database, 1, created_at=created_at, last_used_at=created_at)
    uses.note(token.id)

    def fail(*_: object) -> None:
        raise ConnectionResetError("the database is gone")

    event.listen(database.writer.sync_engine, "before_cursor_execute", fail)
    with pytest.raises(ConnectionResetError):
        await uses.tick()
    event.remove(database.writer.sync_engine, "before_cursor_execute", fail)

    await uses.tick()

    assert (await last_uses(database))[token.id] > created_at


async def test_the_last_uses_are_stored_when_the_task_stops(database: Database, uses: TokenUses) -> None:
    created_at = now() - timedelta(days=1)
    (token,) = await stored(database, 1, created_at=created_at, last_used_at=created_at)
    uses.note(token.id)
    uses.stop()

    await uses.run()

    assert (await last_uses(database))[token.id] > created_at
