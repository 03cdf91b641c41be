"""Inviting people, and signing up with an invitation, on fakes."""

from datetime import timedelta

import pytest

from app.errors import EmailTaken, InvalidInvite, NotFound, SignUpClosed
from app.services.invitations import InvitationService
from app.services.operators import OperatorService
from models import Action, Invitation, OperatorAction, SignUp, SignUpPolicy, User
from tests.unit.services.conftest import PASSWORD, World

DAY = timedelta(days=1)
HOUR_AGO = timedelta(hours=-1)


@pytest.fixture
def world() -> World:
    return World(sign_up_policy=SignUpPolicy.INVITE)


@pytest.fixture
def invitations(world: World) -> InvitationService:
    return InvitationService(world.transactions, operator="olga")


async def sign_up(world: World, invite: str | None, email: str = "ada@example.com") -> None:
    await world.users.sign_up(SignUp(email=email, password=PASSWORD, invite=invite), "curl/8")


async def test_an_invitation_is_good_once(world: World, invitations: InvitationService) -> None:
    _, code = await invitations.create(None, DAY)

    await sign_up(world, code)
    with pytest.raises(InvalidInvite):
        await sign_up(world, code, "bob@example.com")

    [user], [invitation] = world.database.all(User), world.database.all(Invitation)
    assert (user.email, invitation.used_by) == ("ada@example.com", user.id)
    assert invitation.used_at is not None


async def test_no_password_is_hashed_for_nothing(world: World, invitations: InvitationService) -> None:
    _, expired = await invitations.create(None, HOUR_AGO)
    _, for_bob = await invitations.create("bob@example.com", DAY)
    revoked_id, revoked = await invitations.create(None, DAY)
    await invitations.revoke(revoked_id)

    for invite in (None, "", "unknown", expired, for_bob, revoked):
        with pytest.raises(InvalidInvite, match=r"^This invitation is not valid\."):
            await sign_up(world, invite)

    assert world.passwords.hashed == []
    assert world.database.all(User) == []


async def test_a_taken_address_leaves_the_invitation_good(world: World, invitations: InvitationService) -> None:
    _, first = await invitations.create(None, DAY)
    _, second = await invitations.create(None, DAY)
    await sign_up(world, first)

    with pytest.raises(EmailTaken):
        await sign_up(world, second)
    await sign_up(world, second, "bob@example.com")

    assert len(world.database.all(User)) == 2


async def test_without_a_valid_invitation_nobody_finds_out_who_has_an_account(
    world: World, invitations: InvitationService
) -> None:
    _, code = await invitations.create(None, DAY)
    await sign_up(world, code)

    for email in ("ada@example.com", "nobody@example.com"):
        with pytest.raises(InvalidInvite):
            await sign_up(world, code, email)


async def test_an_invitation_that_is_used_while_the_password_is_hashed_admits_nobody_else(
    world: World, invitations: InvitationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, code = await invitations.create(None, DAY)
    hash_password = world.passwords.hash

    async def let_bob_in_first(password: str, by: object) -> str:
        monkeypatch.setattr(world.passwords, "hash", hash_password)
        await sign_up(world, code, "bob@example.com")
        return await hash_password(password, by)

    monkeypatch.setattr(world.passwords, "hash", let_bob_in_first)
    with pytest.raises(InvalidInvite):
        await sign_up(world, code)

    assert [user.email for user in world.database.all(User)] == ["bob@example.com"]


async def test_a_lost_deadlock_does_not_use_the_invitation_up(world: World, invitations: InvitationService) -> None:
    _, code = await invitations.create(None, DAY)
    world.database.lost_deadlocks = 2

    await sign_up(world, code)

    assert len(world.database.all(User)) == 1


@pytest.mark.parametrize("invite", [None, "the code of an invitation that was made before"])
async def test_closed_is_closed_with_an_invitation_too(invite: str | None) -> None:
    world = World(sign_up_policy=SignUpPolicy.CLOSED)
    _, code = await InvitationService(world.transactions, operator="olga").create(None, DAY)

    with pytest.raises(SignUpClosed):
        await sign_up(world, invite and code)

    assert world.passwords.hashed == []


async def test_where_sign_up_is_open_an_invitation_is_neither_needed_nor_used() -> None:
    world = World(sign_up_policy=SignUpPolicy.OPEN)
    _, code = await InvitationService(world.transactions, operator="olga").create(None, DAY)

    await sign_up(world, code)
    await sign_up(world, "unknown", "bob@example.com")

    assert [invitation.used_at for invitation in world.database.all(Invitation)] == [None]


@pytest.mark.parametrize("policy", SignUpPolicy)
async def test_an_operator_creates_users_whatever_the_policy_is(policy: SignUpPolicy) -> None:
    world = World(sign_up_policy=policy)
    operators = OperatorService(world.transactions, world.passwords, world.links, world.mails, operator="olga")

    await operators.create(SignUp(email="ada@example.com", password=PASSWORD))

    assert [user.email for user in world.database.all(User)] == ["ada@example.com"]


async def test_every_action_is_recorded_with_who_did_it(world: World, invitations: InvitationService) -> None:
    invitation_id, _ = await invitations.create(None, DAY)
    await invitations.revoke(invitation_id)

    actions = sorted(world.database.all(OperatorAction), key=lambda action: action.id)
    assert [(action.invitation_id, action.user_id, action.action, action.operator) for action in actions] == [
        (invitation_id, None, Action.INVITATION_CREATED, "olga"),
        (invitation_id, None, Action.INVITATION_REVOKED, "olga"),
    ]


async def test_an_invitation_stays_revoked(world: World, invitations: InvitationService) -> None:
    invitation_id, _ = await invitations.create(None, DAY)
    await invitations.revoke(invitation_id)
    [revoked] = world.database.all(Invitation)
    await invitations.revoke(invitation_id)

    assert world.database.all(Invitation) == [revoked]


async def test_one_that_was_used_can_not_be_revoked(world: World, invitations: InvitationService) -> None:
    invitation_id, code = await invitations.create(None, DAY)
    await sign_up(world, code)

    with pytest.raises(NotFound, match="the invitation is used"):
        await invitations.revoke(invitation_id)

    assert [invitation.revoked_at for invitation in world.database.all(Invitation)] == [None]
    assert Action.INVITATION_REVOKED not in {action.action for action in world.database.all(OperatorAction)}
