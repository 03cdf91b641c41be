"""What every implementation of `events.relay.Outbox` promises."""

from datetime import timedelta
from uuid import UUID

from events.relay import Backlog, Failed, GivenUp, Taken
from tests.contracts.conftest import LISTENER, OUTBOX_POLICY, Implementation
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


async def test_a_batch_is_shared_evenly_and_nobody_waits_for_the_backlog_of_another(
    implementation: Implementation,
) -> None:
    busy, other, third = [await implementation.add_user() for _ in range(3)]
    for user, count in ((busy, 20), (other, 8), (third, 1)):
        for _ in range(count):
            await add_post(implementation, user.id)

    backlogs = await claimed(implementation)

    amounts = {user_id: len(backlog.events) for user_id, backlog in backlogs.items()}
    assert amounts[third.id] == 1
    assert abs(amounts[busy.id] - amounts[other.id]) <= 1
    assert sum(amounts.values()) == OUTBOX_POLICY.events_per_batch


async def test_users_with_a_backlog_take_turns_when_a_batch_does_not_hold_all(implementation: Implementation) -> None:
    users = [await implementation.add_user() for _ in range(8)]
    for user in users:
        for _ in range(20):
            await add_post(implementation, user.id)

    served = list[UUID]()
    for _ in range(8):
        async with implementation.outbox.claim(LISTENER) as (backlogs, is_full):
            assert is_full
            assert len(backlogs) == OUTBOX_POLICY.users_per_batch
            served += [backlog.user_id for backlog in backlogs]
            taken = [Taken(backlog, backlog.events[0].version) for backlog in backlogs]
            await implementation.outbox.mark(LISTENER, taken)

    assert {user.id: served.count(user.id) for user in users} == dict.fromkeys((user.id for user in users), 3)


async def test_who_comes_later_gets_a_turn_before_the_others_get_two(implementation: Implementation) -> None:
    for _ in range(OUTBOX_POLICY.users_per_batch + 1):
        user = await implementation.add_user()
        for _ in range(20):
            await add_post(implementation, user.id)
    async with implementation.outbox.claim(LISTENER) as (backlogs, _):
        await implementation.outbox.mark(LISTENER, [Taken(backlog, 1) for backlog in backlogs])

    late = await implementation.add_user()
    await add_post(implementation, late.id)

    assert late.id in await claimed(implementation)
