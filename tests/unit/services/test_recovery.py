"""A new password, and a verified or another address, on fakes."""

import asyncio
import time
from unittest.mock import patch
from urllib.parse import urlsplit

import pytest

from app.auth.keys import Keyring
from app.auth.mail_links import SignedLinks
from app.errors import (
    EmailTaken,
    InvalidCredentials,
    InvalidRequest,
    InvalidToken,
    MailNotConfigured,
    TooManyRequests,
    WrongPassword,
)
from app.ports.mail import LinkClaim
from app.ports.security import UNKNOWN_CLIENT, Principal
from app.services.operators import OperatorService
from events.types import MailsQueued, SessionsChanged
from models import (
    EmailChange,
    EmailConfirmation,
    LogIn,
    Mail,
    MailPurpose,
    PasswordChange,
    PasswordReset,
    PasswordResetRequest,
    User,
)
from tests.unit.services.conftest import PASSWORD, World

NEW_PASSWORD = "another horse battery"
NEW_ADDRESS = "lovelace@example.com"


def claim_of(world: World, user: Principal, address: str | None = None) -> LinkClaim:
    """Return what a mail's link would be good for if it were sent now."""
    stored = world.database.user(user.user_id)
    assert stored is not None
    return LinkClaim(stored.id, stored.password_version, stored.email_version, address or stored.email)


def token(world: World, user: Principal, purpose: MailPurpose, address: str | None = None) -> str:
    link = world.links.issue(purpose, claim_of(world, user, address))
    return urlsplit(link).fragment.partition("=")[2]


def user(world: World, principal: Principal) -> User:
    stored = world.database.user(principal.user_id)
    assert stored is not None
    return stored


def queued(world: World) -> list[tuple[MailPurpose, str]]:
    return [(mail.purpose, mail.address) for mail in world.database.all(Mail)]


async def reset(world: World, with_token: str, password: str = NEW_PASSWORD) -> None:
    await world.recovery.reset_password(PasswordReset(token=with_token, new_password=password), UNKNOWN_CLIENT)


async def confirm(world: World, with_token: str) -> None:
    await world.recovery.confirm_email(EmailConfirmation(token=with_token))


async def log_in(world: World, password: str, email: str = "ada@example.com") -> None:
    await world.sessions.log_in(LogIn(email=email, password=password), "curl/8")


async def test_asking_for_a_password_queues_the_same_for_everybody(world: World, ada: Principal) -> None:
    for email in ("ada@example.com", "nobody@example.com"):
        await world.recovery.request_password(PasswordResetRequest(email=email), "client")

    assert queued(world) == [
        (MailPurpose.PASSWORD_RESET, "ada@example.com"),
        (MailPurpose.PASSWORD_RESET, "nobody@example.com"),
    ]
    assert {mail.user_id for mail in world.database.all(Mail)} == {None}


async def test_a_reset_replaces_the_password_ends_every_session_and_proves_the_address(
    world: World, ada: Principal, bob: Principal
) -> None:
    await reset(world, token(world, ada, MailPurpose.PASSWORD_RESET))

    assert (world.live(ada), world.live(bob)) == (0, 1)
    assert SessionsChanged(user_id=ada.user_id) in world.published
    assert user(world, ada).email_verified_at is not None
    assert queued(world) == [(MailPurpose.PASSWORD_CHANGED, "ada@example.com")]
    await log_in(world, NEW_PASSWORD)
    with pytest.raises(InvalidCredentials):
        await log_in(world, PASSWORD)


async def test_who_forgot_a_password_can_log_in_at_once_after_a_reset(world: World, ada: Principal) -> None:
    for _ in range(5):
        with pytest.raises(InvalidCredentials):
            await log_in(world, "is it this one?")
    with pytest.raises(TooManyRequests):
        await log_in(world, PASSWORD)

    await reset(world, token(world, ada, MailPurpose.PASSWORD_RESET))

    await log_in(world, NEW_PASSWORD)


async def test_of_a_token_used_several_times_at_once_one_use_wins(world: World, ada: Principal) -> None:
    used = token(world, ada, MailPurpose.PASSWORD_RESET)

    outcomes = await asyncio.gather(
        *(reset(world, used, f"{NEW_PASSWORD} {number}") for number in range(10)), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes if outcome is not None] == [InvalidToken] * 9
    await log_in(world, f"{NEW_PASSWORD} {outcomes.index(None)}")


@pytest.mark.parametrize("fault", ["forged", "of another service", "expired", "superseded", "of a changed address"])
async def test_a_token_that_is_no_good_changes_nothing(world: World, ada: Principal, fault: str) -> None:
    good = token(world, ada, MailPurpose.PASSWORD_RESET)
    match fault:
        case "forged":
            good = good[:-1] + ("0" if good[-1] != "0" else "1")
        case "of another service":
            links = SignedLinks(Keyring("another"), "https://posts.example.com")
            good = links.issue(MailPurpose.PASSWORD_RESET, claim_of(world, ada)).partition("=")[2]
        case "superseded":
            change = PasswordChange(current_password=PASSWORD, new_password="a third horse battery")
            await world.users.change_password(ada, change)
        case "of a changed address":
            await confirm(world, token(world, ada, MailPurpose.CONFIRM_EMAIL, NEW_ADDRESS))
    before = user(world, ada)

    with (
        patch("app.auth.mail_links.time.time", return_value=time.time() + (3600 if fault == "expired" else 0)),
        pytest.raises(InvalidToken),
    ):
        await reset(world, good)

    assert user(world, ada) == before
    assert world.live(ada) == 1


@pytest.mark.parametrize("text", ["", ".", "a.b", "é.é", "WyJw.00", "=" * 2000])
async def test_what_is_no_token_is_refused_as_one_that_is_no_good(world: World, text: str) -> None:
    with pytest.raises(InvalidToken):
        world.links.verify(text, MailPurpose.PASSWORD_RESET)


async def test_each_token_is_for_one_purpose(world: World, ada: Principal) -> None:
    for purpose in (MailPurpose.VERIFY_EMAIL, MailPurpose.CONFIRM_EMAIL):
        with pytest.raises(InvalidToken):
            await reset(world, token(world, ada, purpose))
    with pytest.raises(InvalidToken):
        await confirm(world, token(world, ada, MailPurpose.PASSWORD_RESET))


async def test_a_token_outlives_the_rotation_of_the_secret(world: World, ada: Principal) -> None:
    rotated = SignedLinks(Keyring("new", ("secret",)), "https://posts.example.com")

    purpose, claim = rotated.verify(token(world, ada, MailPurpose.VERIFY_EMAIL), MailPurpose.VERIFY_EMAIL)

    assert (purpose, claim) == (MailPurpose.VERIFY_EMAIL, claim_of(world, ada))


async def test_no_token_works_for_a_disabled_or_erased_user(world: World, ada: Principal, bob: Principal) -> None:
    purposes = (MailPurpose.PASSWORD_RESET, MailPurpose.VERIFY_EMAIL, MailPurpose.CONFIRM_EMAIL)
    tokens = [token(world, who, purpose) for who in (ada, bob) for purpose in purposes]
    operators = OperatorService(world.transactions, world.passwords, world.links, world.mails, operator="olga")
    await operators.disable(ada.user_id)
    await operators.delete(bob.user_id)

    for each in tokens:
        with pytest.raises(InvalidToken):
            await (reset(world, each) if tokens.index(each) % 3 == 0 else confirm(world, each))


async def test_a_verification_is_good_once(world: World, ada: Principal) -> None:
    mailed = token(world, ada, MailPurpose.VERIFY_EMAIL)

    await confirm(world, mailed)

    assert user(world, ada).email_verified_at is not None
    with pytest.raises(InvalidToken):
        await confirm(world, mailed)
    await world.recovery.request_verification(ada)
    assert queued(world) == []


async def test_an_address_is_changed_when_the_new_one_is_confirmed(world: World, ada: Principal) -> None:
    await world.recovery.request_email(ada, EmailChange(email=NEW_ADDRESS, password=PASSWORD))

    assert user(world, ada).email == "ada@example.com"
    assert queued(world) == [
        (MailPurpose.CONFIRM_EMAIL, NEW_ADDRESS),
        (MailPurpose.EMAIL_CHANGE_REQUESTED, "ada@example.com"),
    ]
    assert MailsQueued() in world.published

    mailed = token(world, ada, MailPurpose.CONFIRM_EMAIL, NEW_ADDRESS)
    await confirm(world, mailed)

    assert user(world, ada).email == NEW_ADDRESS
    assert user(world, ada).email_verified_at is not None
    assert queued(world)[-1] == (MailPurpose.EMAIL_CHANGED, "ada@example.com")
    assert world.heard()[-1] == ("user.email_changed", ada.user_id)
    await log_in(world, PASSWORD, NEW_ADDRESS)
    with pytest.raises(InvalidToken):
        await confirm(world, mailed)


async def test_a_change_and_its_way_back_can_not_be_replayed(world: World, ada: Principal) -> None:
    there = token(world, ada, MailPurpose.CONFIRM_EMAIL, NEW_ADDRESS)
    await confirm(world, there)
    await confirm(world, token(world, ada, MailPurpose.CONFIRM_EMAIL, "ada@example.com"))

    with pytest.raises(InvalidToken):
        await confirm(world, there)


async def test_a_new_password_withdraws_a_change_of_address(world: World, ada: Principal) -> None:
    mailed = token(world, ada, MailPurpose.CONFIRM_EMAIL, NEW_ADDRESS)
    await world.users.change_password(ada, PasswordChange(current_password=PASSWORD, new_password=NEW_PASSWORD))

    with pytest.raises(InvalidToken):
        await confirm(world, mailed)


async def test_an_address_that_somebody_took_meanwhile_is_refused_and_nothing_changes(
    world: World, ada: Principal
) -> None:
    mailed = token(world, ada, MailPurpose.CONFIRM_EMAIL, NEW_ADDRESS)
    await world.sign_up(NEW_ADDRESS)
    before, mails = user(world, ada), queued(world)

    heard = world.heard()
    with pytest.raises(EmailTaken):
        await confirm(world, mailed)

    assert user(world, ada) == before
    assert world.heard() == heard
    assert queued(world) == mails


async def test_a_change_needs_the_password_and_an_address_that_is_free_and_new(
    world: World, ada: Principal, bob: Principal
) -> None:
    with pytest.raises(WrongPassword):
        await world.recovery.request_email(ada, EmailChange(email=NEW_ADDRESS, password="a guess"))
    with pytest.raises(EmailTaken):
        await world.recovery.request_email(ada, EmailChange(email="bob@example.com", password=PASSWORD))
    with pytest.raises(InvalidRequest):
        await world.recovery.request_email(ada, EmailChange(email="ADA@example.com", password=PASSWORD))

    assert queued(world) == []


async def test_mails_are_limited_by_address_and_by_client(world: World) -> None:
    for number in range(5):
        await world.recovery.request_password(PasswordResetRequest(email="ada@example.com"), f"client {number}")
    with pytest.raises(TooManyRequests):
        await world.recovery.request_password(PasswordResetRequest(email="ADA@example.com"), "client")

    for number in range(10):
        await world.recovery.request_password(PasswordResetRequest(email=f"{number}@example.com"), "one client")
    with pytest.raises(TooManyRequests):
        await world.recovery.request_password(PasswordResetRequest(email="other@example.com"), "one client")


async def test_who_signs_up_is_asked_to_confirm_the_address() -> None:
    world = World(greets=True)
    await world.sign_up()

    assert queued(world) == [(MailPurpose.VERIFY_EMAIL, "ada@example.com")]


async def test_a_service_without_mail_says_so_and_queues_nothing() -> None:
    world = World(sends_mail=False)
    ada = await world.sign_up()

    with pytest.raises(MailNotConfigured):
        await world.recovery.request_password(PasswordResetRequest(email="ada@example.com"), "client")
    with pytest.raises(MailNotConfigured):
        await world.recovery.request_verification(ada)
    with pytest.raises(MailNotConfigured):
        await world.recovery.request_email(ada, EmailChange(email=NEW_ADDRESS, password=PASSWORD))
    await world.users.change_password(ada, PasswordChange(current_password=PASSWORD, new_password=NEW_PASSWORD))

    assert queued(world) == []
    # What an operator's link needs works without mail.
    await reset(world, token(world, ada, MailPurpose.PASSWORD_RESET), PASSWORD)
