"""Users, for tests of what they own."""

from uuid import UUID

from app.ports.unit_of_work import Transactions
from tests.factories import SessionFactory, UserFactory


async def add_user(transactions: Transactions) -> UUID:
    user_id, _ = await add_user_with_session(transactions)
    return user_id


async def add_user_with_session(transactions: Transactions) -> tuple[UUID, UUID]:
    user = UserFactory.build()
    session = SessionFactory.build(user_id=user.id)
    async with transactions.begin() as unit:
        await unit.users.add(user)
        await unit.add(session)
        await unit.commit()
    return user.id, session.id
