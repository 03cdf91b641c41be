"""Personal tokens: what issuing, revoking and a new password do to them."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from app.auth.personal_tokens import hash_of
from app.errors import NotFound, TooManyTokens, Unauthenticated
from app.ports.mail import LinkClaim
from app.ports.security import Principal
from app.services.operators import OperatorService
from events.types import SessionsChanged
from models import MailPurpose, PasswordChange, PasswordReset, PersonalTokenCreate, Session
from models.columns import now
from models.personal_token import NEVER
from tests.unit.services.conftest import PASSWORD, World

NEW_PASSWORD = "another horse battery"
FORM = PersonalTokenCreate(name="CI", scopes=["webhooks", "posts:read", "webhooks"])


def tokens_of(world: World, user_id: UUID) -> list[Session]:
    return [session for session in world.database.sessions(user_id) if session.token_hash is not None]


async def test_a_token_is_stored_as_a_hash_and_announced(world: World, ada: Principal) -> None:
    world.published.clear()

    created = await world.personal_tokens.create(ada, FORM)

    (stored,) = tokens_of(world, ada.user_id)
    assert (stored.id, stored.token_hash) == (created.id, hash_of(created.token))
    assert (stored.name, stored.scopes, stored.expires_at) == ("CI", ["posts:read", "webhooks"], NEVER)
    assert created.token not in str(stored)
    assert world.published == [SessionsChanged(user_id=ada.user_id)]


async def test_a_token_expires_when_it_is_to(world: World, ada: Principal) -> None:
    expires_at = now() + timedelta(days=1)

    created = await world.personal_tokens.create(
        ada, PersonalTokenCreate(name="CI", scopes=["webhooks"], expires_at=expires_at)
    )

    assert created.expires_at == tokens_of(world, ada.user_id)[0].expires_at == expires_at


async def test_there_are_never_more_than_fifty(world: World, ada: Principal) -> None:
    answers = await asyncio.gather(
        *(world.personal_tokens.create(ada, FORM) for _ in range(55)), return_exceptions=True
    )

    assert [type(answer) for answer in answers].count(TooManyTokens) == 5
    assert len(tokens_of(world, ada.user_id)) == 50


async def test_a_session_that_has_ended_meanwhile_issues_nothing(world: World, ada: Principal) -> None:
    await world.sessions.end_all(ada.user_id)

    with pytest.raises(Unauthenticated):
        await world.personal_tokens.create(ada, FORM)

    assert tokens_of(world, ada.user_id) == []


async def test_a_revoked_token_is_gone_and_the_others_stay(world: World, ada: Principal, bob: Principal) -> None:
    first, second = [await world.personal_tokens.create(ada, FORM) for _ in range(2)]
    world.published.clear()

    with pytest.raises(NotFound):
        await world.personal_tokens.end(bob.user_id, first.id)
    with pytest.raises(NotFound):
        await world.personal_tokens.end(ada.user_id, ada.session_id)
    await world.personal_tokens.end(ada.user_id, first.id)

    assert [token.id for token in tokens_of(world, ada.user_id)] == [second.id]
    assert world.published == [SessionsChanged(user_id=ada.user_id)]
    await world.personal_tokens.end_all(ada.user_id)
    assert tokens_of(world, ada.user_id) == []
    assert world.live(ada) == 1


async def test_ended_log_ins_and_a_changed_password_leave_tokens(world: World, ada: Principal) -> None:
    token = await world.personal_tokens.create(ada, FORM)

    await world.users.change_password(ada, PasswordChange(current_password=PASSWORD, new_password=NEW_PASSWORD))
    await world.sessions.end_all(ada.user_id)

    assert [session.id for session in world.database.sessions(ada.user_id)] == [token.id]


async def test_a_reset_password_ends_tokens(world: World, ada: Principal) -> None:
    await world.personal_tokens.create(ada, FORM)
    link = world.links.issue(MailPurpose.PASSWORD_RESET, LinkClaim(ada.user_id, 1, 1, "ada@example.com"))

    form = PasswordReset(token=link.partition("=")[2], new_password=NEW_PASSWORD)
    await world.recovery.reset_password(form, "192.0.2.1")

    assert world.live(ada) == 0


@pytest.mark.parametrize("action", ["disable", "end_sessions", "set_password", "delete"])
async def test_what_operators_end_they_end_with_the_tokens(world: World, ada: Principal, action: str) -> None:
    await world.personal_tokens.create(ada, FORM)
    operators = OperatorService(world.transactions, world.passwords, world.links, world.mails, operator="root")

    arguments = (ada.user_id, NEW_PASSWORD) if action == "set_password" else (ada.user_id,)
    await getattr(operators, action)(*arguments)

    assert world.live(ada) == 0
