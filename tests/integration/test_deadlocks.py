"""Transactions that wait for each other: the one that the database undoes is done again."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from sqlalchemy import Update, func, select, update
from sqlalchemy.exc import OperationalError
from sqlmodel import col

from app.database import Database
from app.errors import Deadlocked
from app.services.posts import PostService
from app.services.repeating import repeats_when_deadlocked
from app.timeline import DatabaseTimelines
from app.unit_of_work import SqlUnits
from events.bus import EventBus
from models import Post, User
from tests.factories import PostCreateFactory
from tests.integration.users import add_user

DEADLOCK = OperationalError("UPDATE", {}, Exception(1213, "Deadlock found"))


class FailingTimelines(DatabaseTimelines):
    """Fails once a change is committed."""

    @asynccontextmanager
    async def changing(self, user_ids: Collection[UUID]) -> AsyncIterator[None]:  # noqa: ARG002
        yield
        raise DEADLOCK


async def no_version(_user_id: UUID, _session_id: UUID) -> None:
    return None


@pytest.fixture
def units(database: Database) -> SqlUnits:
    return SqlUnits(database, EventBus(), DatabaseTimelines(no_version))


async def add_users(units: SqlUnits, count: int) -> list[UUID]:
    return [await add_user(units) for _ in range(count)]


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
async def test_a_transaction_that_lost_a_deadlock_is_done_again(database: Database, units: SqlUnits) -> None:
    # The database undoes the transaction that changed less.
    first, second, *others = await add_users(units, 22)
    attempts, has_first = 0, asyncio.Event()

    @repeats_when_deadlocked
    async def change_both() -> None:
        nonlocal attempts
        attempts += 1
        async with units() as unit:
            await unit.users.advance_timeline(first)
            has_first.set()
            await unit.users.advance_timeline(second)
            await unit.commit()

    def lock(*user_ids: UUID) -> Update:
        return update(User).where(col(User.id).in_(user_ids)).values(password_hash="changed")

    async with database.writer.begin() as opponent:
        await opponent.execute(lock(second, *others))
        changing = asyncio.create_task(change_both())
        await has_first.wait()
        await asyncio.sleep(0.2)
        await opponent.execute(lock(first))
        assert attempts >= 1
    await changing

    assert attempts == 2
    async with database.reading() as connection:
        versions = select(col(User.timeline_version)).where(col(User.id).in_([first, second]))
        assert (await connection.execute(versions)).scalars().all() == [1, 1]


async def test_what_fails_like_a_deadlock_after_the_commit_is_not_done_again(database: Database) -> None:
    units = SqlUnits(database, EventBus(), FailingTimelines(no_version))
    with pytest.raises(OperationalError):
        await add_users(units, 1)
    async with database.reading() as connection:
        owner_id = (await connection.execute(select(col(User.id)))).scalar_one()

    with pytest.raises(OperationalError):
        await PostService(units, reads=None).create(owner_id, PostCreateFactory.build())  # type: ignore[arg-type]

    async with database.reading() as connection:
        assert (await connection.execute(select(func.count()).select_from(Post))).scalar_one() == 1


async def test_a_transaction_that_loses_again_and_again_is_given_up_the_third_time(units: SqlUnits) -> None:
    attempts = 0

    @repeats_when_deadlocked
    async def lose() -> None:
        nonlocal attempts
        attempts += 1
        async with units():
            raise DEADLOCK

    with pytest.raises(Deadlocked):
        await lose()
    assert attempts == 3
