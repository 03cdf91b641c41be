"""Logging in, refreshing and ending sessions."""

import asyncio
from collections.abc import Hashable
from datetime import timedelta

import pytest

from app.errors import InvalidCredentials, NotFound, TooManyRequests, Unauthenticated
from app.ports.security import Principal
from app.services.sessions import SessionPolicy
from models import LogIn, SignUp
from tests.fakes.security import PlainPasswords
from tests.unit.services.conftest import PASSWORD, World


def form(email: str = "ada@example.com", password: str = PASSWORD) -> LogIn:
    return LogIn(email=email, password=password)


async def test_a_log_in_opens_another_session(world: World, ada: Principal) -> None:
    phone = world.principal_of(await world.sessions.log_in(form(), "phone"))

    assert phone.user_id == ada.user_id
    assert world.live(ada) == 2
    assert await world.timelines.version(phone.user_id, phone.session_id) == 0


async def test_an_unknown_address_takes_a_verification_too(world: World, ada: Principal) -> None:
    with pytest.raises(InvalidCredentials):
        await world.sessions.log_in(form("nobody@example.com"), "curl/8")
    with pytest.raises(InvalidCredentials):
        await world.sessions.log_in(form(password="incorrect horse"), "curl/8")

    assert world.passwords.verified == [(PASSWORD, None), ("incorrect horse", f"plain:{PASSWORD}")]


async def test_failures_on_an_address_make_the_next_attempt_wait_but_not_a_known_session(
    world: World, ada: Principal
) -> None:
    for _ in range(5):
        with pytest.raises(InvalidCredentials):
            await world.sessions.log_in(form(password="guess"), "stranger")

    with pytest.raises(TooManyRequests):
        await world.sessions.log_in(form(), "owner without a session")
    await world.sessions.log_in(form(), "owner", ada)


async def test_a_strangers_failures_make_the_stranger_wait_and_not_the_owner(world: World, ada: Principal) -> None:
    for _ in range(5):
        with pytest.raises(InvalidCredentials):
            await world.sessions.log_in(form(password="guess"), "stranger", client="192.0.2.66")
    with pytest.raises(TooManyRequests):
        await world.sessions.log_in(form(), "stranger", client="192.0.2.66")

    await world.sessions.log_in(form(), "owner", client="192.0.2.1")


async def test_many_clients_can_not_guess_without_limit_and_do_not_lock_out_a_known_one(
    world: World, ada: Principal
) -> None:
    await world.sessions.log_in(form(), "owner", client="192.0.2.1")
    for number in range(20):
        with pytest.raises(InvalidCredentials):
            await world.sessions.log_in(form("ADA@example.com", "guess"), "bot", client=f"198.51.100.{number}")

    with pytest.raises(TooManyRequests):
        await world.sessions.log_in(form(), "bot", client="198.51.100.99")
    await world.sessions.log_in(form(), "owner", client="192.0.2.1")
    await world.sessions.log_in(form(), "owner elsewhere", ada, client="192.0.2.7")


async def test_limits_count_an_address_in_every_case_as_one(world: World) -> None:
    for email in ("straße@example.com", "STRASSE@example.com", "Strasse@example.com", "straSSe@example.com") * 2:
        if world.log_in_failures.failures.total() < 5:
            with pytest.raises(InvalidCredentials):
                await world.sessions.log_in(form(email), "stranger")

    with pytest.raises(TooManyRequests):
        await world.sessions.log_in(form("STRAßE@example.com"), "stranger")


async def test_two_accounts_from_before_with_one_address_are_told_apart_by_their_passwords(world: World) -> None:
    first, second = [
        world.principal_of(
            await world.users.sign_up(SignUp(email=f"{name}@example.com", password=f"battery of {name}"), "curl/8")
        )
        for name in ("first", "second")
    ]
    for user, email in ((first, "t\u0308om@example.com"), (second, "\u1e97om@example.com")):
        async with world.transactions.begin() as unit:
            (await unit.users.lock(user.user_id)).email = email
            await unit.commit()

    for user, name in ((first, "first"), (second, "second")):
        tokens = await world.sessions.log_in(form("T\u0308OM@example.com", f"battery of {name}"), "curl/8")
        assert world.principal_of(tokens).user_id == user.user_id
    with pytest.raises(InvalidCredentials):
        await world.sessions.log_in(form("T\u0308OM@example.com", "another battery"), "curl/8")


async def test_a_session_of_someone_else_does_not_lift_the_limit(world: World, ada: Principal, bob: Principal) -> None:
    for _ in range(5):
        with pytest.raises(InvalidCredentials):
            await world.sessions.log_in(form(password="guess"), "bob", bob)

    with pytest.raises(TooManyRequests):
        await world.sessions.log_in(form(), "bob", bob)


async def test_a_hash_of_an_old_scheme_is_renewed_at_log_in(world: World, ada: Principal) -> None:
    world.passwords.scheme = "stronger"

    await world.sessions.log_in(form(), "curl/8")

    user = world.database.user(ada.user_id)
    assert user is not None
    assert (user.password_hash, user.password_version) == (f"stronger:{PASSWORD}", 1)


async def test_one_session_too_many_ends_the_one_unused_for_longest() -> None:
    world = World(policy=SessionPolicy(max_sessions=2))
    first = await world.sign_up()
    second = world.principal_of(await world.sessions.log_in(form(), "second"))

    third = world.principal_of(await world.sessions.log_in(form(), "third"))

    left = {session.id for session in world.database.sessions(first.user_id)}
    assert left == {second.session_id, third.session_id}


async def test_a_password_changed_while_it_was_verified_opens_nothing(world: World, ada: Principal) -> None:
    class Slow(PlainPasswords):
        async def verify(self, password: str, password_hash: str | None, by: Hashable) -> bool:
            async with world.transactions.begin() as unit:
                (await unit.users.lock(ada.user_id)).password_version += 1
                await unit.commit()
            return await super().verify(password, password_hash, by)

    world.sessions._passwords = Slow()

    with pytest.raises(InvalidCredentials):
        await world.sessions.log_in(form(), "curl/8")
    assert world.live(ada) == 1


async def test_a_refresh_token_is_good_once() -> None:
    world = World(policy=SessionPolicy(concurrent_refresh=timedelta(seconds=-1)))
    ada = await world.sign_up()
    tokens = await world.sessions.log_in(form(), "phone")

    renewed = await world.sessions.refresh(tokens.refresh_token, "phone")
    with pytest.raises(Unauthenticated):
        await world.sessions.refresh(tokens.refresh_token, "phone")

    # Its second use revoked the session, and with it the successor.
    with pytest.raises(Unauthenticated):
        await world.sessions.refresh(renewed.refresh_token, "phone")
    assert world.live(ada) == 1


async def test_two_tabs_that_refresh_at_once_get_the_same_successor(world: World, ada: Principal) -> None:
    tokens = await world.sessions.log_in(form(), "phone")

    first, second = await asyncio.gather(*(world.sessions.refresh(tokens.refresh_token, "phone") for _ in range(2)))

    assert first.refresh_token == second.refresh_token != tokens.refresh_token
    assert world.live(ada) == 2


async def test_another_client_that_uses_the_token_within_that_time_revokes_the_session(
    world: World, ada: Principal
) -> None:
    tokens = await world.sessions.log_in(form(), "phone")
    await world.sessions.refresh(tokens.refresh_token, "phone")

    with pytest.raises(Unauthenticated):
        await world.sessions.refresh(tokens.refresh_token, "thief")

    assert world.live(ada) == 1


async def test_sessions_end_one_by_one_and_all_together(world: World, ada: Principal, bob: Principal) -> None:
    phone = world.principal_of(await world.sessions.log_in(form(), "phone"))

    with pytest.raises(NotFound):
        await world.sessions.end(bob.user_id, phone.session_id)
    await world.sessions.end(ada.user_id, phone.session_id)
    assert await world.timelines.version(phone.user_id, phone.session_id) is None
    await world.sessions.end_all(ada.user_id)

    assert (world.live(ada), world.live(bob)) == (0, 1)


async def test_logging_out_twice_is_refused(world: World, ada: Principal) -> None:
    await world.sessions.log_out(ada)

    with pytest.raises(Unauthenticated):
        await world.sessions.log_out(ada)
