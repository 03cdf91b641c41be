"""What every implementation of `events.relay.Outbox` promises."""

from datetime import timedelta
from uuid import UUID

from events.relay import Backlog, Failed, GivenUp, Taken
from tests.contracts.conftest import LISTENER, Implementation
from tests.contracts.test_transactions import add_post


async def claimed(implementation: Implementation) -> dict[UUID, Backlog]:
    async with implementation.outbox.claim(LISTENER) as claim:
        return {backlog.user_id: backlog for backlog in claim.backlogs}


async def test_each_users_undelivered_events_are_claimed_in_order(implementation: Implementation) -> None:
    ada, bob, _ = [await implementation.add_user() for _ in range(3)]
    for user in (ada, bob, ada):
        await add_post(implementation, user.id)

    backlogs = await claimed(implementation)

    assert {user_id: [event.version for event in backlog.events] for user_id, backlog in backlogs.items()} == {
        ada.id: [1, 2],
        bob.id: [1],
    }
    assert {(backlog.version, backlog.attempts) for backlog in backlogs.values()} == {(0, 0)}


async def test_what_is_claimed_is_not_claimed_again_until_it_is_given_back(implementation: Implementation) -> None:
    ada = await implementation.add_user()
    await add_post(implementation, ada.id)

    async with implementation.outbox.claim(LISTENER):
        assert await claimed(implementation) == {}

    assert set(await claimed(implementation)) == {ada.id}


async def test_what_was_taken_is_not_due_any_more(implementation: Implementation) -> None:
    ada = await implementation.add_user()
    await add_post(implementation, ada.id)

    async with implementation.outbox.claim(LISTENER) as (backlogs, _):
        await implementation.outbox.mark(LISTENER, [Taken(backlog, 1) for backlog in backlogs])
    await implementation.outbox.mark_delivered()
    assert await claimed(implementation) == {}

    await add_post(implementation, ada.id)
    assert [event.version for event in (await claimed(implementation))[ada.id].events] == [2]


async def test_what_failed_is_due_again_with_its_attempts_counted(implementation: Implementation) -> None:
    ada = await implementation.add_user()
    await add_post(implementation, ada.id)

    for attempts in range(3):
        async with implementation.outbox.claim(LISTENER) as (backlogs, _):
            assert [backlog.attempts for backlog in backlogs] == [attempts]
            await implementation.outbox.mark(LISTENER, [Failed(backlogs[0], "OSError", timedelta(0))])


async def test_after_what_was_given_up_comes_the_next_event(implementation: Implementation) -> None:
    ada = await implementation.add_user()
    for _ in range(2):
        await add_post(implementation, ada.id)

    async with implementation.outbox.claim(LISTENER) as (backlogs, _):
        await implementation.outbox.mark(LISTENER, [GivenUp(backlogs[0], "OSError")])

    backlog = (await claimed(implementation))[ada.id]
    assert (backlog.version, [event.version for event in backlog.events]) == (1, [2])
