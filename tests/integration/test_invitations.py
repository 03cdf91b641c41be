"""Invitations on both kinds of database: each is good for one sign-up, also of several at the same time."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from app.database.engines import Database
from app.errors import DomainError, EmailTaken, InvalidInvite, NotFound
from app.service import Service
from app.services.invitations import InvitationService
from app.storage.invitations import InvitationQueries, IssuedInvitation
from models import InvitationState, SignUp, SignUpPolicy
from models.columns import now
from tests.factories import SessionFactory
from tests.service import service_on

DAY = timedelta(days=1)
PASSWORD = "correct horse battery"


@pytest.fixture
def service(database: Database) -> Service:
    return service_on(database, settings={"sign_up": SignUpPolicy.INVITE})


@pytest.fixture
def invitations(service: Service) -> InvitationService:
    return InvitationService(service.transactions, operator="olga")


@pytest.fixture
def issued(database: Database) -> InvitationQueries:
    return InvitationQueries(database)


async def sign_up(service: Service, code: str, email: str) -> str | type[DomainError]:
    """Return the address of who signed up, or how they were refused."""
    try:
        await service.users.sign_up(SignUp(email=email, password=PASSWORD, invite=code), "curl/8")
    except DomainError as error:
        return type(error)
    return email


async def user_id_of(service: Service, email: str) -> UUID | None:
    found = await service.queries.passwords_of_address(email)
    return found[0].user_id if found else None


async def find(issued: InvitationQueries, invitation_id: UUID) -> IssuedInvitation:
    found = await issued.find(str(invitation_id))
    assert found is not None
    return found


async def test_of_many_who_use_one_code_at_once_one_gets_an_account(
    service: Service, invitations: InvitationService, issued: InvitationQueries
) -> None:
    invitation_id, code = await invitations.create(None, DAY)
    emails = [f"{uuid7().hex}@example.com" for _ in range(8)]

    outcomes = await asyncio.gather(*(sign_up(service, code, email) for email in emails))

    [winner] = [outcome for outcome in outcomes if outcome in emails]
    assert outcomes.count(InvalidInvite) == 7
    assert [email for email in emails if await user_id_of(service, email)] == [winner]
    assert (await find(issued, invitation_id)).used_by == winner


async def test_of_two_codes_for_one_address_used_at_once_one_stays_good(
    service: Service, invitations: InvitationService, issued: InvitationQueries
) -> None:
    ids, codes = zip(*[await invitations.create(None, DAY) for _ in range(2)], strict=True)

    outcomes = await asyncio.gather(*(sign_up(service, code, "ada@example.com") for code in codes))

    assert sorted(map(str, outcomes)) == sorted(["ada@example.com", str(EmailTaken)])
    states = [(await find(issued, one)).invitation.state(now()) for one in ids]
    assert sorted(states) == [InvitationState.OPEN, InvitationState.USED]


async def test_who_revokes_at_the_moment_of_a_sign_up_is_told_who_was_first(
    service: Service, invitations: InvitationService, issued: InvitationQueries
) -> None:
    invitation_id, code = await invitations.create(None, DAY)

    async def revoke() -> bool:
        try:
            await invitations.revoke(invitation_id)
        except NotFound:
            return False
        return True

    is_revoked, outcome = await asyncio.gather(revoke(), sign_up(service, code, "ada@example.com"))

    assert (is_revoked, outcome) in {(True, InvalidInvite), (False, "ada@example.com")}
    state = (await find(issued, invitation_id)).invitation.state(now())
    assert state is (InvitationState.REVOKED if is_revoked else InvitationState.USED)


async def test_an_operator_sees_who_invited_whom_and_never_the_code(
    service: Service, invitations: InvitationService, issued: InvitationQueries
) -> None:
    used_id, code = await invitations.create("ada@example.com", DAY)
    revoked_id, _ = await invitations.create(None, DAY)
    await sign_up(service, code, "ADA@example.com")
    await invitations.revoke(revoked_id)
    await invitations.revoke(revoked_id)

    used, revoked = await issued.all()

    assert (used.invitation.id, used.created_by, used.used_by, used.revoked_by) == (
        used_id,
        "olga",
        "ada@example.com",
        None,
    )
    assert (revoked.invitation.id, revoked.created_by, revoked.used_by, revoked.revoked_by) == (
        revoked_id,
        "olga",
        None,
        "olga",
    )
    assert code not in repr((used.invitation.model_dump(), used))
    assert await issued.find(code.upper()) == used
    assert await issued.find("unknown") is await issued.find(str(uuid7())) is None


async def test_an_erased_user_leaves_no_invitation(
    service: Service, invitations: InvitationService, issued: InvitationQueries
) -> None:
    _, code = await invitations.create("ada@example.com", DAY)
    unused_id, _ = await invitations.create(None, DAY)
    await sign_up(service, code, "ada@example.com")
    ada = await user_id_of(service, "ada@example.com")
    assert ada is not None

    async with service.transactions.begin() as unit:
        await unit.add(SessionFactory.build(user_id=ada))
        await unit.users.delete(await unit.users.lock(ada))
        await unit.commit()

    assert [one.invitation.id for one in await issued.all()] == [unused_id]
    assert await sign_up(service, code, "ada@example.com") is InvalidInvite
