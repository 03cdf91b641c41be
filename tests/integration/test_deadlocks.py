"""Transactions that wait for each other: the one that the database rolls back is retried."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest
from sqlalchemy import Update, func, select, update
from sqlalchemy.exc import OperationalError
from sqlmodel import col

from app.database.engines import Database
from app.errors import Deadlocked
from app.ports.unit_of_work import Transactions, UnitOfWork
from app.services.posts import PostService
from app.telemetry.tracing import NoTracing
from events.types import SessionsChanged
from models import Post, PostCreate, User
from tests.factories import PostCreateFactory
from tests.integration.users import add_user
from tests.service import service_on

DEADLOCK = OperationalError("UPDATE", {}, Exception(1213, "Deadlock found"))


class FailingAfterCommit(NoTracing):
    """Fails once a change is committed."""

    @contextmanager
    def commit(self) -> Iterator[None]:
        yield
        raise DEADLOCK


@pytest.fixture
def transactions(database: Database) -> Transactions:
    return service_on(database).transactions


async def add_users(transactions: Transactions, count: int) -> list[UUID]:
    return [await add_user(transactions) for _ in range(count)]


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
async def test_a_transaction_that_lost_a_deadlock_is_done_again(database: Database, transactions: Transactions) -> None:
    # The database rolls back the transaction that changed less.
    first, second, *others = await add_users(transactions, 22)
    attempts, has_first = 0, asyncio.Event()

    async def write(unit: UnitOfWork, user_id: UUID) -> None:
        version = await unit.users.advance_timeline(user_id)
        post, created = Post.write(user_id, PostCreate(text="hello"), version)
        await unit.posts.add([post])
        unit.record(created)

    async def change_both(unit: UnitOfWork) -> None:
        nonlocal attempts
        attempts += 1
        await write(unit, first)
        has_first.set()
        await write(unit, second)
        await unit.commit()

    def lock(*user_ids: UUID) -> Update:
        return update(User).where(col(User.id).in_(user_ids)).values(password_hash="changed")

    async with database.writer.begin() as opponent:
        await opponent.execute(lock(second, *others))
        changing = asyncio.create_task(transactions.run(change_both))
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
    transactions = service_on(database, tracing=FailingAfterCommit()).transactions
    with pytest.raises(OperationalError):
        await add_users(transactions, 1)
    async with database.reading() as connection:
        owner_id = (await connection.execute(select(col(User.id)))).scalar_one()

    with pytest.raises(OperationalError):
        await PostService(transactions).create(owner_id, PostCreateFactory.build())

    async with database.reading() as connection:
        assert (await connection.execute(select(func.count()).select_from(Post))).scalar_one() == 1


async def test_a_transaction_that_loses_again_and_again_is_given_up_the_third_time(transactions: Transactions) -> None:
    attempts = 0

    async def lose(unit: UnitOfWork) -> None:
        nonlocal attempts
        attempts += 1
        unit.record(SessionsChanged(user_id=UUID(int=1)))
        raise DEADLOCK

    with pytest.raises(Deadlocked):
        await transactions.run(lose)
    assert attempts == 3
