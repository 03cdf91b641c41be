"""What operators do to users, on fakes."""

import pytest

from app.errors import EmailTaken, InvalidCredentials, Unauthenticated
from app.ports.security import Principal
from app.services.operators import OperatorService
from events.types import SessionsChanged
from models import Action, LogIn, OperatorAction, PostCreate, SignUp
from tests.unit.services.conftest import PASSWORD, World


@pytest.fixture
def operators(world: World) -> OperatorService:
    return OperatorService(world.transactions, world.passwords, world.links, world.mails, operator="olga")


async def log_in(world: World, password: str = PASSWORD) -> None:
    await world.sessions.log_in(LogIn(email="ada@example.com", password=password), "curl/8")


async def test_a_disabled_user_has_no_session_can_open_none_and_keeps_their_posts(
    world: World, ada: Principal, operators: OperatorService
) -> None:
    await world.posts.create(ada.user_id, PostCreate(text="hello"))

    await operators.disable(ada.user_id)

    assert await world.timelines.version(ada.user_id, ada.session_id) is None
    with pytest.raises(InvalidCredentials):
        await log_in(world)
    assert world.published[-1] == SessionsChanged(user_id=ada.user_id)

    await operators.enable(ada.user_id)
    await log_in(world)
    assert world.live(ada) == 1


async def test_only_the_named_user_is_concerned(
    world: World, ada: Principal, bob: Principal, operators: OperatorService
) -> None:
    await operators.end_sessions(ada.user_id)

    assert (world.live(ada), world.live(bob)) == (0, 1)
    await log_in(world)


async def test_a_password_that_an_operator_sets_ends_every_session(
    world: World, ada: Principal, operators: OperatorService
) -> None:
    await operators.set_password(ada.user_id, "set by the operator")

    assert world.live(ada) == 0
    with pytest.raises(InvalidCredentials):
        await log_in(world)
    await log_in(world, "set by the operator")


async def test_a_created_user_can_log_in_and_an_address_is_taken_once(world: World, operators: OperatorService) -> None:
    form = SignUp(email="Ada@example.com", password=PASSWORD)
    await operators.create(form)

    await log_in(world)
    with pytest.raises(EmailTaken):
        await operators.create(form)


async def test_each_change_of_an_account_is_published_once(world: World, operators: OperatorService) -> None:
    user_id = await operators.create(SignUp(email="ada@example.com", password=PASSWORD))
    for act in (operators.disable, operators.disable, operators.enable, operators.enable, operators.delete):
        await act(user_id)

    kinds = ["user.signed_up", "user.disabled", "user.enabled", "user.erased"]
    assert world.heard() == [(kind, user_id) for kind in kinds]


async def test_every_action_is_recorded_with_who_did_it(
    world: World, ada: Principal, operators: OperatorService
) -> None:
    await operators.disable(ada.user_id)
    await operators.enable(ada.user_id)
    await operators.delete(ada.user_id)

    actions = sorted(world.database.all(OperatorAction), key=lambda action: action.id)
    assert [(action.user_id, action.action, action.operator) for action in actions] == [
        (ada.user_id, Action.DISABLED, "olga"),
        (ada.user_id, Action.ENABLED, "olga"),
        (ada.user_id, Action.DELETED, "olga"),
    ]
    with pytest.raises(Unauthenticated):
        await operators.disable(ada.user_id)
