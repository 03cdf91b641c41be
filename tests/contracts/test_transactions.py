"""What every implementation of `app.ports.unit_of_work` promises."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from app.errors import EmailTaken, NotFound, Unauthenticated
from app.ports.unit_of_work import IncompleteUnitOfWork, UnitOfWork
from events.types import PostEvent, SessionsChanged
from models import IdempotencyKey, Post, PostCreate, PostUpdate, Session, User, Webhook, WebhookDelivery
from models.columns import now
from tests.contracts.conftest import Implementation
from tests.factories import SessionFactory, UserFactory

DRAFT = PostCreate(text="hello")


async def write(unit: UnitOfWork, owner_id: UUID) -> Post:
    version = await unit.users.advance_timeline(owner_id)
    post, created = Post.write(owner_id, DRAFT, version)
    await unit.posts.add([post])
    unit.record(created)
    return post


async def add_post(implementation: Implementation, owner_id: UUID) -> Post:
    async def create(unit: UnitOfWork) -> Post:
        post = await write(unit, owner_id)
        await unit.commit()
        return post

    return await implementation.transactions.run(create)


def webhook_of(owner_id: UUID) -> Webhook:
    return Webhook(user_id=owner_id, url="https://example.com/", events=["post.created"], since_version=0)


async def test_a_committed_change_is_stored_versioned_and_published(
    implementation: Implementation, published: list[PostEvent]
) -> None:
    ada = await implementation.add_user()

    post = await add_post(implementation, ada.id)

    assert [row.id for row in await implementation.rows(Post)] == [post.id]
    assert await implementation.version_of(ada.id) == 1
    assert [(event.version, event.post_id) for event in published] == [(1, post.id)]
    assert await implementation.queries.events_after(ada.id, 0, 10) == published


async def test_an_event_is_published_when_its_change_is_durable(implementation: Implementation) -> None:
    ada = await implementation.add_user()
    seen: list[int] = []

    async def look(event: PostEvent) -> None:
        seen.append(await implementation.version_of(event.user_id))

    implementation.bus.subscribe(PostEvent, look)
    await add_post(implementation, ada.id)

    assert seen == [1]


async def test_concurrent_writers_of_one_user_take_versions_without_a_gap(
    implementation: Implementation, published: list[PostEvent]
) -> None:
    ada = await implementation.add_user()

    await asyncio.gather(*(add_post(implementation, ada.id) for _ in range(10)))

    assert await implementation.version_of(ada.id) == 10
    assert sorted(event.version for event in published) == list(range(1, 11))


async def test_a_use_case_that_raises_leaves_nothing(
    implementation: Implementation, published: list[PostEvent]
) -> None:
    ada = await implementation.add_user()

    async def fail(unit: UnitOfWork) -> None:
        await write(unit, ada.id)
        raise LookupError

    with pytest.raises(LookupError):
        await implementation.transactions.run(fail)

    assert (await implementation.rows(Post), await implementation.version_of(ada.id), published) == ([], 0, [])


async def test_a_rollback_undoes_everything_and_finishes_the_unit_of_work(
    implementation: Implementation, published: list[PostEvent]
) -> None:
    ada = await implementation.add_user()

    async def change_nothing(unit: UnitOfWork) -> str:
        await write(unit, ada.id)
        await unit.rollback()
        return "done"

    assert await implementation.transactions.run(change_nothing) == "done"
    assert (await implementation.rows(Post), await implementation.version_of(ada.id), published) == ([], 0, [])


async def forget_the_event(unit: UnitOfWork, owner_id: UUID) -> None:
    await unit.users.advance_timeline(owner_id)
    await unit.commit()


async def forget_one_event_of_two(unit: UnitOfWork, owner_id: UUID) -> None:
    await write(unit, owner_id)
    await unit.users.advance_timeline(owner_id)
    await unit.commit()


async def forget_the_version(unit: UnitOfWork, owner_id: UUID) -> None:
    _, created = Post.write(owner_id, DRAFT, 1)
    unit.record(created)
    await unit.commit()


async def record_twice(unit: UnitOfWork, owner_id: UUID) -> None:
    version = await unit.users.advance_timeline(owner_id)
    _, created = Post.write(owner_id, DRAFT, version)
    unit.record(created)
    unit.record(created)


async def forget_the_commit(unit: UnitOfWork, owner_id: UUID) -> None:
    await write(unit, owner_id)


async def forget_the_commit_of_sessions(unit: UnitOfWork, owner_id: UUID) -> None:
    await unit.sessions.end_all(owner_id)
    unit.record(SessionsChanged(user_id=owner_id))


@pytest.mark.parametrize(
    "forget",
    [
        forget_the_event,
        forget_one_event_of_two,
        forget_the_version,
        record_twice,
        forget_the_commit,
        forget_the_commit_of_sessions,
    ],
)
@pytest.mark.parametrize("is_run", [True, False], ids=["run", "begin"])
async def test_the_write_ritual_can_not_be_forgotten(
    implementation: Implementation,
    published: list[PostEvent],
    forget: object,
    is_run: bool,
) -> None:
    ada = await implementation.add_user()
    session = await implementation.add_session(ada.id)

    async def begin() -> None:
        async with implementation.transactions.begin() as unit:
            await forget(unit, ada.id)  # type: ignore[operator]

    with pytest.raises(IncompleteUnitOfWork):
        await (implementation.transactions.run(forget, ada.id) if is_run else begin())  # type: ignore[arg-type]

    assert (await implementation.rows(Post), await implementation.version_of(ada.id), published) == ([], 0, [])
    assert [row.id for row in await implementation.rows(Session)] == [session.id]


async def test_a_use_case_must_commit_or_roll_back_whatever_it_changed(implementation: Implementation) -> None:
    ada = await implementation.add_user()

    async def leave(unit: UnitOfWork) -> None:
        await unit.add(SessionFactory.build(user_id=ada.id))

    with pytest.raises(IncompleteUnitOfWork):
        await implementation.transactions.run(leave)

    assert await implementation.rows(Session) == []


async def test_a_taken_address_is_refused(implementation: Implementation) -> None:
    ada = await implementation.add_user()

    async def sign_up(unit: UnitOfWork) -> None:
        await unit.users.add(UserFactory.build(email=ada.email))
        await unit.commit()

    with pytest.raises(EmailTaken):
        await implementation.transactions.run(sign_up)

    assert len(await implementation.rows(User)) == 1


async def test_a_user_who_does_not_exist_can_not_be_locked_or_written_to(implementation: Implementation) -> None:
    nobody: UUID = UserFactory.build().id
    ada = await implementation.add_user()

    async with implementation.transactions.begin() as unit:
        with pytest.raises(Unauthenticated):
            await unit.users.lock(nobody)
        with pytest.raises(Unauthenticated):
            await unit.users.advance_timeline(nobody)
        assert await unit.users.advance_timelines({nobody: 1}) == {}
        versions = await unit.users.advance_timelines({nobody: 1, ada.id: 2})
        await unit.rollback()

    assert versions == {ada.id: 2}


async def test_a_row_is_only_its_owners(implementation: Implementation) -> None:
    ada, bob = [await implementation.add_user() for _ in range(2)]
    post = await add_post(implementation, ada.id)

    async with implementation.transactions.begin() as unit:
        assert (await unit.get(Post, ada.id, post.id)).text == "hello"
        with pytest.raises(NotFound, match=f"There is no post {post.id}"):
            await unit.get(Post, bob.id, post.id)
        with pytest.raises(NotFound):
            await unit.get(Post, ada.id, bob.id)


async def test_a_changed_row_is_committed_and_a_deleted_one_gone(implementation: Implementation) -> None:
    ada = await implementation.add_user()
    kept, gone = [await add_post(implementation, ada.id) for _ in range(2)]

    async def edit_and_delete(unit: UnitOfWork) -> None:
        post = await unit.get(Post, ada.id, kept.id)
        unit.record(post.rewrite(PostUpdate(text="again"), await unit.users.advance_timeline(ada.id)))
        post = await unit.get(Post, ada.id, gone.id)
        await unit.delete(post)
        unit.record(post.removed(await unit.users.advance_timeline(ada.id)))
        await unit.commit()

    await implementation.transactions.run(edit_and_delete)

    assert [(post.id, post.text, post.version) for post in await implementation.rows(Post)] == [(kept.id, "again", 2)]
    assert await implementation.version_of(ada.id) == 4


async def test_sessions_end_one_by_one_all_but_one_or_the_unused_ones(implementation: Implementation) -> None:
    ada, bob = [await implementation.add_user() for _ in range(2)]
    sessions = [SessionFactory.build(user_id=ada.id, last_used_at=now() + timedelta(hours=n)) for n in range(4)]
    bobs = await implementation.add_session(bob.id)
    await implementation.add(*sessions)

    async with implementation.transactions.begin() as unit:
        assert not await unit.sessions.end(bob.id, sessions[0].id)
        assert await unit.sessions.end(ada.id, sessions[3].id)
        assert not await unit.sessions.end(ada.id, sessions[3].id)
        await unit.sessions.end_unused(ada.id, keep=2)
        await unit.commit()
    assert {row.id for row in await implementation.rows(Session)} == {sessions[1].id, sessions[2].id, bobs.id}

    async with implementation.transactions.begin() as unit:
        await unit.sessions.end_all(ada.id, but=sessions[2].id)
        await unit.commit()
    assert {row.id for row in await implementation.rows(Session)} == {sessions[2].id, bobs.id}


async def test_a_session_that_has_expired_is_not_locked(implementation: Implementation) -> None:
    ada = await implementation.add_user()
    session = await implementation.add_session(ada.id)

    async with implementation.transactions.begin() as unit:
        found = await unit.sessions.lock(session.id, now())
        assert found is not None
        assert found.user_id == ada.id
        assert await unit.sessions.lock(session.id, session.expires_at + timedelta(seconds=1)) is None
        assert await unit.sessions.lock(ada.id, now()) is None


async def test_an_idempotency_key_is_its_users_and_expires(implementation: Implementation) -> None:
    ada, bob = [await implementation.add_user() for _ in range(2)]
    used = IdempotencyKey.of(ada.id, "key", DRAFT, ada.id)

    async with implementation.transactions.begin() as unit:
        assert await unit.idempotency_keys.get(ada.id, "key") is None
        await unit.idempotency_keys.put(used)
        await unit.commit()

    async with implementation.transactions.begin() as unit:
        found = await unit.idempotency_keys.get(ada.id, "key")
        assert found is not None
        assert found.is_of(DRAFT)
        assert await unit.idempotency_keys.get(bob.id, "key") is None
        assert await unit.idempotency_keys.get(ada.id, "KEY") is None
        found.created_at = now() - IdempotencyKey.lifetime
        await unit.commit()

    async with implementation.transactions.begin() as unit:
        assert await unit.idempotency_keys.get(ada.id, "key") is None
        await unit.idempotency_keys.put(IdempotencyKey.of(ada.id, "key", DRAFT, bob.id))
        await unit.commit()
    assert [key.post_id for key in await implementation.rows(IdempotencyKey)] == [bob.id]


async def test_events_are_queued_once_for_each_webhook_that_wants_them(
    implementation: Implementation, published: list[PostEvent]
) -> None:
    ada, bob = [await implementation.add_user() for _ in range(2)]
    wanting, deaf, disabled, bobs = (webhook_of(owner.id) for owner in (ada, ada, ada, bob))
    deaf.events, disabled.disabled_at = ["post.deleted"], now()
    await implementation.add(wanting, deaf, disabled, bobs)
    await add_post(implementation, ada.id)

    for _ in range(2):
        async with implementation.transactions.begin() as unit:
            assert await unit.webhooks.count(ada.id) == 3
            await unit.webhooks.queue(ada.id, published)
            await unit.commit()

    deliveries = await implementation.rows(WebhookDelivery)
    assert [(delivery.webhook_id, delivery.version) for delivery in deliveries] == [(wanting.id, 1)]


async def test_a_webhook_is_deleted_by_its_owner_alone(implementation: Implementation) -> None:
    ada, bob = [await implementation.add_user() for _ in range(2)]
    webhook = webhook_of(ada.id)
    await implementation.add(webhook)

    async with implementation.transactions.begin() as unit:
        assert not await unit.webhooks.delete(bob.id, webhook.id)
        assert await unit.webhooks.delete(ada.id, webhook.id)
        await unit.commit()

    assert await implementation.rows(Webhook) == []


async def test_a_user_is_deleted_with_all_they_own(implementation: Implementation, published: list[PostEvent]) -> None:
    ada, bob = [await implementation.add_user() for _ in range(2)]
    for user in (ada, bob):
        await add_post(implementation, user.id)
        await implementation.add_session(user.id)
        webhook = webhook_of(user.id)
        await implementation.add(webhook, IdempotencyKey.of(user.id, "key", DRAFT, user.id))

    async with implementation.transactions.begin() as unit:
        await unit.users.delete(await unit.users.lock(ada.id))
        await unit.commit()

    assert [user.id for user in await implementation.rows(User)] == [bob.id]
    assert {post.user_id for post in await implementation.rows(Post)} == {bob.id}
    assert {session.user_id for session in await implementation.rows(Session)} == {bob.id}
    assert {webhook.user_id for webhook in await implementation.rows(Webhook)} == {bob.id}
    assert {key.user_id for key in await implementation.rows(IdempotencyKey)} == {bob.id}
    assert await implementation.queries.events_after(ada.id, 0, 10) == []
    assert len(published) == 2
