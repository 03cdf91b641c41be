"""Users, for tests of what they own."""

from uuid import UUID

from app.unit_of_work import SqlUnits
from tests.factories import UserFactory


async def add_user(units: SqlUnits) -> UUID:
    user = UserFactory.build()
    async with units() as unit:
        await unit.users.add(user)
        await unit.commit()
    return user.id
