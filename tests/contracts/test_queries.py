"""What every implementation of `app.ports.queries` and `app.ports.timelines` promises."""

import asyncio
from datetime import timedelta

import pytest

from app.errors import Unauthenticated
from app.ports.unit_of_work import UnitOfWork
from events.types import SessionsChanged
from models import LogIn, Session
from models.columns import now
from models.personal_token import NEVER
from tests.contracts.conftest import Implementation
from tests.contracts.test_transactions import add_post
from tests.factories import InvitationFactory, SessionFactory, UserFactory, personal_token


async def test_a_password_is_found_by_address_and_by_user(implementation: Implementation) -> None:
    ada = await implementation.add_user()

    (found,) = await implementation.queries.passwords_of_address(ada.email)

    assert found == (ada.id, ada.password_hash, ada.password_version)
    assert await implementation.queries.password_of_user(ada.id) == found
    assert await implementation.queries.passwords_of_address("nobody@example.com") == []
    with pytest.raises(Unauthenticated):
        await implementation.queries.password_of_user(UserFactory.build().id)


@pytest.mark.parametrize("stored", ["t\u0308om7ς@example.com", "\u1e97om7\u03c3@example.com", "ẗom7ς@example.com"])
async def test_an_address_is_found_in_every_case_and_form(implementation: Implementation, stored: str) -> None:
    ada = await implementation.add_user(stored)

    for typed in ("T\u0308OM7Σ@example.com", "\u1e97om7ς@example.com", "t\u0308om7\u03c3@EXAMPLE.com"):
        form = LogIn(email=typed, password="p")
        assert [found.user_id for found in await implementation.queries.passwords_of_address(form.email)] == [ada.id]


async def test_an_invitation_is_found_by_the_hash_of_its_code_in_whatever_state(implementation: Implementation) -> None:
    ada = await implementation.add_user()
    used = InvitationFactory.build(email=ada.email, used_at=now(), used_by=ada.id)
    await implementation.add(used, InvitationFactory.build(revoked_at=now()))

    found = await implementation.queries.invitation(used.code_hash)

    assert found is not None
    assert found.model_dump() == used.model_dump()
    assert await implementation.queries.invitation("0" * 64) is None


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


async def test_a_personal_token_is_found_by_its_hash(implementation: Implementation) -> None:
    ada = await implementation.add_user()
    await implementation.add_session(ada.id)
    tokens = [personal_token(ada.id, scopes=scopes) for scopes in (["posts:read"], ["posts:write", "webhooks"])]
    await implementation.add(*tokens)

    found = await asyncio.gather(*(implementation.queries.grant(token.token_hash or b"") for token in tokens))

    assert found == [(ada.id, token.id, frozenset(token.scopes or [])) for token in tokens]
    assert await implementation.queries.grant(b"x" * 32) is None


async def test_a_personal_token_that_does_not_expire_has_its_users_version(implementation: Implementation) -> None:
    ada = await implementation.add_user()
    token, expired = personal_token(ada.id, expires_at=NEVER), personal_token(ada.id, expires_at=now())
    await implementation.add(token, expired)

    assert await implementation.timelines.version(ada.id, token.id) == 0
    assert await implementation.timelines.version(ada.id, expired.id) is None
