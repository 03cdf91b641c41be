"""What has outlived its use is removed, in batches, by one process at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel, col
from uuid_utils.compat import uuid7

from app.database.engines import Database
from app.storage.policy import RetentionPolicy
from app.storage.pruning import Pruner
from models import IdempotencyKey, Invitation, Session, StoredEvent, User
from models.columns import now
from tests.factories import InvitationFactory, PostCreateFactory, SessionFactory, UserFactory, stored_event
from tests.integration.ledger import Ledger


def pruner_of(database: Database, interval: timedelta = timedelta(minutes=5), batch_rows: int = 500) -> Pruner:
    return Pruner(database, retention=RetentionPolicy(batch_rows=batch_rows), interval=interval)


async def count(database: Database, model: type[SQLModel]) -> int:
    async with database.reading() as connection:
        return (await connection.execute(select(func.count()).select_from(model))).scalar_one()


async def fill(database: Database, age: timedelta, rows: int = 3) -> None:
    user = UserFactory.build()
    async with database.writing() as session:
        session.add(user)
        await session.flush()
        for number in range(rows):
            session.add(SessionFactory.build(user_id=user.id, expires_at=now() - age))
            key = IdempotencyKey.of(user.id, f"key {number}", PostCreateFactory.build(), user.id)
            key.created_at = now() - age
            session.add(key)
            event = stored_event(user.id, number + 1)
            event.occurred_at = now() - age
            session.add(event)
        await session.commit()


@pytest.mark.parametrize(
    ("age", "left"),
    [
        (timedelta(minutes=-1), [3, 3, 3]),
        (timedelta(minutes=1), [0, 3, 3]),
        (timedelta(hours=25), [0, 0, 3]),
        (timedelta(days=31), [0, 0, 0]),
    ],
)
async def test_each_kind_is_kept_for_its_time(database: Database, age: timedelta, left: list[int]) -> None:
    await fill(database, age)

    removed = await pruner_of(database).prune()

    assert [await count(database, model) for model in (Session, IdempotencyKey, StoredEvent)] == left
    assert removed == 9 - sum(left)


async def test_invitations_are_kept_for_a_month_after_they_have_expired(database: Database) -> None:
    user = UserFactory.build()
    async with database.writing() as session:
        session.add(user)
        await session.flush()
        for days in (29, 31):
            expired_at = now() - timedelta(days=days)
            session.add(InvitationFactory.build(expires_at=expired_at))
            session.add(InvitationFactory.build(expires_at=expired_at, used_at=expired_at, used_by=user.id))
        await session.commit()

    assert await pruner_of(database).prune() == 2

    assert await count(database, Invitation) == 2


async def test_more_than_a_batch_is_removed_batch_by_batch(database: Database) -> None:
    await fill(database, timedelta(days=31), rows=10)

    assert await pruner_of(database, batch_rows=4).prune() == 30


async def test_a_key_that_was_used_anew_while_it_was_being_pruned_is_kept(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(database, timedelta(hours=25), rows=2)
    begin = database.writer.begin

    def renew_then_begin() -> Any:
        @asynccontextmanager
        async def renewed() -> AsyncIterator[AsyncConnection]:
            monkeypatch.setattr(database, "writer", writer)
            async with begin() as connection:
                await connection.execute(
                    update(IdempotencyKey).where(col(IdempotencyKey.key) == "key 0").values(created_at=now())
                )
                yield connection

        return renewed()

    writer = database.writer
    monkeypatch.setattr(database, "writer", SimpleNamespace(begin=renew_then_begin))
    async with database.reading() as connection:
        pruner = pruner_of(database)
        await pruner._remove(connection, IdempotencyKey, pruner._rules[IdempotencyKey]())

    assert await count(database, IdempotencyKey) == 1


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
async def test_an_old_key_is_not_removed_between_being_used_anew_and_the_commit(
    database: Database, ledger: Ledger
) -> None:
    await fill(database, timedelta(hours=25), rows=1)
    async with database.reading() as connection:
        user_id = (await connection.execute(select(col(User.id)))).scalar_one()
    used_anew = IdempotencyKey.of(user_id, "key 0", PostCreateFactory.build(), uuid7())

    async with ledger.transactions.begin() as unit:
        await unit.users.lock(user_id)
        await unit.idempotency_keys.put(used_anew)
        # A pruner would wait for what is locked.
        free = select(col(IdempotencyKey.key)).with_for_update(skip_locked=True)
        async with database.writer.begin() as connection:
            keys = (await connection.execute(free)).scalars().all()
            await connection.execute(delete(IdempotencyKey).where(col(IdempotencyKey.key).in_(keys)))
        await unit.commit()

    async with database.reading() as connection:
        assert (await connection.execute(select(col(IdempotencyKey.post_id)))).scalar_one() == used_anew.post_id


async def test_one_connection_of_each_kind_is_enough(database: Database) -> None:
    await fill(database, timedelta(days=31))
    small = Database(database.url, pool_size=1)

    assert await pruner_of(small).prune() == 9
    await small.close()


async def test_of_several_processes_one_prunes(database: Database) -> None:
    await fill(database, timedelta(days=31), rows=50)
    other = Database(database.url, pool_size=2)

    removed = await asyncio.gather(*(pruner_of(one).prune() for one in (database, other, database, other)))

    assert sum(removed) >= 150
    assert await count(database, StoredEvent) == 0
    if not database.is_sqlite:
        assert sorted(removed) == [0, 0, 0, 150]
    await other.close()


async def test_it_goes_on_after_a_pruning_that_failed(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    pruner, calls, third_time = pruner_of(database, interval=timedelta(0)), list[int](), asyncio.Event()

    async def prune() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise PoolTimeoutError("no connection is free")
        if len(calls) == 3:
            third_time.set()
        return 0

    monkeypatch.setattr(pruner, "prune", prune)
    running = asyncio.create_task(pruner.run())
    await asyncio.wait_for(third_time.wait(), 5)
    running.cancel()
