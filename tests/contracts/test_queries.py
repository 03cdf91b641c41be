"""What every implementation of `app.ports.queries` and `app.ports.timelines` promises."""

from datetime import timedelta

import pytest

from app.errors import Unauthenticated
from app.ports.unit_of_work import UnitOfWork
from events.types import SessionsChanged
from models import Session
from models.columns import now
from tests.contracts.conftest import Implementation
from tests.contracts.test_transactions import add_post
from tests.factories import SessionFactory, UserFactory


async def test_a_password_is_found_by_address_and_by_user(implementation: Implementation) -> None:
    ada = await implementation.add_user()

    found = await implementation.queries.password_of_address(ada.email)

    assert found == (ada.id, ada.password_hash, ada.password_version)
    assert await implementation.queries.password_of_user(ada.id) == found
    assert await implementation.queries.password_of_address("nobody@example.com") is None
    with pytest.raises(Unauthenticated):
        await implementation.queries.password_of_user(UserFactory.build().id)


async def test_events_come_in_order_after_a_version_and_up_to_a_limit(implementation: Implementation) -> None:
    ada, bob = [await implementation.add_user() for _ in range(2)]
    for user in (ada, ada, bob, ada):
        await add_post(implementation, user.id)

    async def versions(after: int, limit: int) -> list[int]:
        return [event.version for event in await implementation.queries.events_after(ada.id, after, limit)]

    assert await versions(0, 10) == [1, 2, 3]
    assert await versions(1, 1) == [2]
    assert await versions(3, 10) == []


async def test_a_live_session_has_its_users_version_after_each_write(implementation: Implementation) -> None:
    ada = await implementation.add_user()
    session = await implementation.add_session(ada.id)

    for version in range(4):
        assert await implementation.timelines.version(ada.id, session.id) == version
        await add_post(implementation, ada.id)


async def test_only_a_live_session_of_the_user_has_a_version(implementation: Implementation) -> None:
    ada, bob = [await implementation.add_user() for _ in range(2)]
    bobs = await implementation.add_session(bob.id)
    expired: Session = SessionFactory.build(user_id=ada.id, expires_at=now() - timedelta(seconds=1))
    await implementation.add(expired)

    assert await implementation.timelines.version(ada.id, bobs.id) is None
    assert await implementation.timelines.version(ada.id, expired.id) is None
    assert await implementation.timelines.version(bob.id, bobs.id) == 0
    assert await implementation.timelines.version(UserFactory.build().id, bobs.id) is None


async def test_a_session_that_was_ended_has_no_version_any_more(implementation: Implementation) -> None:
    ada = await implementation.add_user()
    session = await implementation.add_session(ada.id)
    assert await implementation.timelines.version(ada.id, session.id) == 0

    async def end(unit: UnitOfWork) -> None:
        await unit.sessions.end(ada.id, session.id)
        unit.record(SessionsChanged(user_id=ada.id))
        await unit.commit()

    await implementation.transactions.run(end)

    assert await implementation.timelines.version(ada.id, session.id) is None
