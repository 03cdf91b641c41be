"""Signing up, changing the password, erasing the account."""

import pytest

from app.errors import EmailTaken, TooManyRequests, WrongPassword
from app.ports.security import Principal
from events.types import SessionsChanged, UserSignedUpEvent
from models import LogIn, PasswordChange, Post, PostCreate, SignUp, User
from tests.unit.services.conftest import PASSWORD, World


async def test_signing_up_opens_the_first_session(world: World) -> None:
    ada = await world.sign_up()

    assert await world.timelines.version(ada.user_id, ada.session_id) == 0
    (stored,) = world.database.all(User)
    assert stored.password_hash == f"plain:{PASSWORD}"
    assert world.published == [
        UserSignedUpEvent(user_id=ada.user_id, occurred_at=stored.created_at),
        SessionsChanged(user_id=ada.user_id),
    ]


async def test_an_address_has_one_account(world: World, ada: Principal) -> None:
    with pytest.raises(EmailTaken):
        await world.users.sign_up(SignUp(email="Ada@example.com", password=PASSWORD), "curl/8")

    assert len(world.database.all(User)) == 1
    assert world.heard() == [("user.signed_up", ada.user_id)]


async def test_a_new_password_ends_the_other_sessions(world: World, ada: Principal) -> None:
    await world.sessions.log_in(LogIn(email="ada@example.com", password=PASSWORD), "phone")
    change = PasswordChange(current_password=PASSWORD, new_password="another horse battery")

    await world.users.change_password(ada, change)

    assert [session.id for session in world.database.sessions(ada.user_id)] == [ada.session_id]
    await world.sessions.log_in(LogIn(email="ada@example.com", password="another horse battery"), "phone")


async def test_a_wrong_password_changes_nothing_and_soon_makes_the_session_wait(world: World, ada: Principal) -> None:
    wrong = PasswordChange(current_password="incorrect horse", new_password="another horse battery")

    for _ in range(5):
        with pytest.raises(WrongPassword):
            await world.users.change_password(ada, wrong)
    with pytest.raises(TooManyRequests):
        await world.users.erase(ada, PASSWORD)

    assert world.database.user(ada.user_id) is not None


async def test_erasing_removes_the_user_and_all_they_own(world: World, ada: Principal, bob: Principal) -> None:
    for user in (ada, bob):
        await world.posts.create(user.user_id, PostCreate(text="hello"))

    await world.users.erase(ada, PASSWORD)

    assert [post.user_id for post in world.database.all(Post)] == [bob.user_id]
    assert await world.timelines.version(ada.user_id, ada.session_id) is None
    assert world.heard()[2:] == [("user.erased", ada.user_id)]
    assert (await world.sign_up()).user_id != ada.user_id


async def test_a_lost_deadlock_does_not_hash_the_password_again(world: World, ada: Principal) -> None:
    world.database.lost_deadlocks = 2

    await world.users.erase(ada, PASSWORD)

    assert len(world.passwords.verified) == 1
    assert world.database.user(ada.user_id) is None
