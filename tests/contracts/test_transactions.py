"""What every implementation of `app.ports.unit_of_work` promises."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from app.errors import EmailTaken, NotFound, QuotaExceeded, Unauthenticated
from app.ports.unit_of_work import NO_GROWTH, IncompleteUnitOfWork, UnitOfWork
from app.quotas import Growth
from events.types import PostEvent, SessionsChanged, UserEmailChangedEvent, UserEvent
from models import IdempotencyKey, Invitation, Post, PostCreate, PostUpdate, Session, User, Webhook, WebhookDelivery
from models.columns import now
from tests.contracts.conftest import Implementation
from tests.factories import InvitationFactory, SessionFactory, UserFactory, personal_token

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


async def test_an_accounts_event_is_published_with_its_change_and_is_no_part_of_the_timeline(
    implementation: Implementation,
) -> None:
    ada = await implementation.add_user("ada@example.com")
    heard: list[tuple[UserEvent, list[str]]] = []

    async def hear(event: UserEvent) -> None:
        heard.append((event, [user.email for user in await implementation.rows(User)]))

    implementation.bus.subscribe(UserEvent, hear)
    event = UserEmailChangedEvent(user_id=ada.id, occurred_at=now())

    async def change(unit: UnitOfWork, *, commits: bool) -> None:
        await unit.users.change_email(await unit.users.lock(ada.id), "lovelace@example.com")
        unit.record(event)
        await (unit.commit() if commits else unit.rollback())

    await implementation.transactions.run(change, commits=False)
    assert heard == []
    await implementation.transactions.run(change, commits=True)

    assert heard == [(event, ["lovelace@example.com"])]
    assert await implementation.version_of(ada.id) == 0
    assert await implementation.queries.events_after(ada.id, 0, 10) == []


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
        growth = {nobody: NO_GROWTH, ada.id: NO_GROWTH}
        assert await unit.users.advance_timelines({nobody: 1}, growth) == {}
        versions = await unit.users.advance_timelines({nobody: 1, ada.id: 2}, growth)
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


async def test_of_several_posts_the_owners_are_found(implementation: Implementation) -> None:
    ada, bob = [await implementation.add_user() for _ in range(2)]
    edited, gone, theirs = [await add_post(implementation, user.id) for user in (ada, ada, bob)]

    async def change(unit: UnitOfWork) -> set[UUID]:
        version = await unit.users.advance_timeline(ada.id, by=2)
        posts = await unit.posts.get_all(ada.id, {edited.id, gone.id, theirs.id, ada.id})
        unit.record(posts[edited.id].rewrite(PostUpdate(text="again"), version - 1))
        await unit.posts.remove(ada.id, [posts[gone.id]])
        unit.record(posts[gone.id].removed(version))
        await unit.commit()
        return set(posts)

    assert await implementation.transactions.run(change) == {edited.id, gone.id}
    left = {(post.id, post.text, post.version) for post in await implementation.rows(Post)}
    assert left == {(edited.id, "again", 2), (theirs.id, "hello", 1)}


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
        await unit.sessions.end_log_ins(ada.id, but=sessions[2].id)
        await unit.commit()
    assert {row.id for row in await implementation.rows(Session)} == {sessions[2].id, bobs.id}


async def test_personal_tokens_end_as_tokens_or_with_everything_and_not_as_log_ins(
    implementation: Implementation,
) -> None:
    ada, bob = [await implementation.add_user() for _ in range(2)]
    log_in = await implementation.add_session(ada.id)
    tokens = [personal_token(ada.id, last_used_at=now() - timedelta(days=n)) for n in range(3)]
    bobs = personal_token(bob.id)
    await implementation.add(*tokens, bobs)

    async with implementation.transactions.begin() as unit:
        assert not await unit.sessions.end(ada.id, tokens[0].id)
        assert not await unit.personal_tokens.end(ada.id, log_in.id)
        assert not await unit.personal_tokens.end(bob.id, tokens[0].id)
        assert await unit.personal_tokens.end(ada.id, tokens[0].id)
        await unit.sessions.end_unused(ada.id, keep=1)
        await unit.commit()
    assert {row.id for row in await implementation.rows(Session)} == {log_in.id, tokens[1].id, tokens[2].id, bobs.id}

    async with implementation.transactions.begin() as unit:
        await unit.sessions.end_log_ins(ada.id)
        await unit.commit()
    assert {row.id for row in await implementation.rows(Session)} == {tokens[1].id, tokens[2].id, bobs.id}

    async with implementation.transactions.begin() as unit:
        await unit.sessions.end_all(ada.id)
        await unit.commit()
    assert {row.id for row in await implementation.rows(Session)} == {bobs.id}


async def test_all_personal_tokens_end_without_the_log_ins(implementation: Implementation) -> None:
    ada, bob = [await implementation.add_user() for _ in range(2)]
    log_in = await implementation.add_session(ada.id)
    bobs = personal_token(bob.id)
    await implementation.add(personal_token(ada.id), personal_token(ada.id), bobs)

    async with implementation.transactions.begin() as unit:
        await unit.personal_tokens.end_all(ada.id)
        await unit.commit()

    assert {row.id for row in await implementation.rows(Session)} == {log_in.id, bobs.id}


async def test_live_personal_tokens_are_counted(implementation: Implementation) -> None:
    ada, bob = [await implementation.add_user() for _ in range(2)]
    await implementation.add_session(ada.id)
    expired = personal_token(ada.id, expires_at=now() - timedelta(seconds=1))
    await implementation.add(expired, personal_token(ada.id), personal_token(ada.id), personal_token(bob.id))

    async with implementation.transactions.begin() as unit:
        assert await unit.personal_tokens.count(ada.id, now()) == 2


async def test_a_session_that_has_expired_is_not_locked(implementation: Implementation) -> None:
    ada = await implementation.add_user()
    session = await implementation.add_session(ada.id)

    async with implementation.transactions.begin() as unit:
        found = await unit.sessions.lock(session.id, now())
        assert found is not None
        assert found.user_id == ada.id
        assert await unit.sessions.lock(session.id, session.expires_at + timedelta(seconds=1)) is None
        assert await unit.sessions.lock(ada.id, now()) is None


async def test_an_invitation_is_locked_by_one_transaction_at_a_time(implementation: Implementation) -> None:
    invitation = InvitationFactory.build()
    await implementation.add(invitation)
    users = [await implementation.add_user() for _ in range(5)]

    async def use(unit: UnitOfWork, user_id: UUID) -> bool:
        found = await unit.invitations.lock(invitation.id)
        assert found is not None
        is_free = found.used_at is None
        if is_free:
            found.used_at, found.used_by = now(), user_id
        await unit.commit()
        return is_free

    used = await asyncio.gather(*(implementation.transactions.run(use, user.id) for user in users))

    assert sorted(used) == [False, False, False, False, True]
    [row] = await implementation.rows(Invitation)
    assert row.used_by == users[used.index(True)].id


async def test_there_is_no_invitation_of_an_unknown_id(implementation: Implementation) -> None:
    async with implementation.transactions.begin() as unit:
        assert await unit.invitations.lock(InvitationFactory.build().id) is None


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


async def test_a_webhook_that_is_sent_the_history_gets_new_events_from_it(
    implementation: Implementation, published: list[PostEvent]
) -> None:
    ada = await implementation.add_user()
    webhook = webhook_of(ada.id)
    webhook.replay(0)
    await implementation.add(webhook)
    await add_post(implementation, ada.id)

    async with implementation.transactions.begin() as unit:
        await unit.webhooks.queue(ada.id, published)
        await unit.commit()

    assert await implementation.rows(WebhookDelivery) == []


async def test_the_operators_webhook_gets_the_events_of_everybody_once(
    implementation: Implementation, published: list[PostEvent]
) -> None:
    ada, bob = [await implementation.add_user() for _ in range(2)]
    operators = Webhook(url="https://example.com/", events=["post.created"])
    deaf = Webhook(url="https://example.com/", events=["post.deleted"])
    await implementation.add(operators, deaf)
    for user in (ada, bob, ada):
        await add_post(implementation, user.id)

    for _ in range(2):
        for event in published:
            async with implementation.transactions.begin() as unit:
                await unit.webhooks.queue(event.user_id, [event])
                await unit.commit()

    deliveries = sorted(await implementation.rows(WebhookDelivery), key=lambda row: row.version)
    assert {delivery.webhook_id for delivery in deliveries} == {operators.id}
    assert [(row.version, row.user_id, row.timeline_version) for row in deliveries] == [
        (1, ada.id, 1),
        (2, bob.id, 1),
        (3, ada.id, 2),
    ]


async def test_a_webhook_is_locked_by_its_owner_alone(implementation: Implementation) -> None:
    ada, bob = [await implementation.add_user() for _ in range(2)]
    webhook = webhook_of(ada.id)
    await implementation.add(webhook)

    async with implementation.transactions.begin() as unit:
        assert (await unit.webhooks.lock(ada.id, webhook.id)).url == webhook.url
        with pytest.raises(NotFound):
            await unit.webhooks.lock(bob.id, webhook.id)
        await unit.rollback()


async def test_a_test_takes_the_place_of_the_last_one(implementation: Implementation) -> None:
    ada = await implementation.add_user()
    webhook = webhook_of(ada.id)
    await implementation.add(webhook)

    tests = []
    for _ in range(2):
        async with implementation.transactions.begin() as unit:
            tests.append((await unit.webhooks.test(webhook)).post_id)
            await unit.commit()

    (queued,) = await implementation.rows(WebhookDelivery)
    assert (queued.type, queued.version, queued.post_id) == ("webhook.test", 0, tests[-1])


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
        await implementation.add(InvitationFactory.build(used_at=now(), used_by=user.id))

    async with implementation.transactions.begin() as unit:
        await unit.users.delete(await unit.users.lock(ada.id))
        await unit.commit()

    assert [user.id for user in await implementation.rows(User)] == [bob.id]
    assert {post.user_id for post in await implementation.rows(Post)} == {bob.id}
    assert {session.user_id for session in await implementation.rows(Session)} == {bob.id}
    assert {webhook.user_id for webhook in await implementation.rows(Webhook)} == {bob.id}
    assert {key.user_id for key in await implementation.rows(IdempotencyKey)} == {bob.id}
    assert {invitation.used_by for invitation in await implementation.rows(Invitation)} == {bob.id}
    assert await implementation.queries.events_after(ada.id, 0, 10) == []
    assert len(published) == 2


async def bound(implementation: Implementation, user_id: UUID, *, posts: int | None, size: int | None = None) -> None:
    """Set the user's own quotas."""
    async with implementation.transactions.begin() as unit:
        user = await unit.users.lock(user_id)
        user.max_posts, user.max_bytes = posts, size
        await unit.commit()


async def kept_by(implementation: Implementation, user_id: UUID) -> tuple[int, int]:
    [user] = [user for user in await implementation.rows(User) if user.id == user_id]
    assert user.counted_version == user.timeline_version
    return user.post_count, user.post_bytes


async def test_what_posts_add_and_free_is_counted_whether_it_was_announced_or_not(
    implementation: Implementation,
) -> None:
    ada = await implementation.add_user()
    edited, deleted = [await add_post(implementation, ada.id) for _ in range(2)]
    assert await kept_by(implementation, ada.id) == (2, 10)

    async with implementation.transactions.begin() as unit:
        version = await unit.users.advance_timeline(ada.id, Growth(1, DRAFT.size))
        post, created = Post.write(ada.id, DRAFT, version)
        await unit.posts.add([post])
        unit.record(created)
        unit.record(
            (await unit.get(Post, ada.id, edited.id)).rewrite(
                PostUpdate(text="a longer text"), await unit.users.advance_timeline(ada.id)
            )
        )
        gone = await unit.get(Post, ada.id, deleted.id)
        unit.record(gone.rewrite(PostUpdate(text="soon gone"), await unit.users.advance_timeline(ada.id)))
        await unit.posts.remove(ada.id, [gone])
        unit.record(gone.removed(await unit.users.advance_timeline(ada.id)))
        await unit.commit()

    assert await kept_by(implementation, ada.id) == (2, len("a longer text") + DRAFT.size)


async def test_what_posts_that_were_found_together_become_is_counted(implementation: Implementation) -> None:
    ada = await implementation.add_user()
    edited, deleted = [await add_post(implementation, ada.id) for _ in range(2)]
    await bound(implementation, ada.id, posts=None, size=12)

    async def edit(unit: UnitOfWork, text: str) -> None:
        posts = await unit.posts.get_all(ada.id, [edited.id, deleted.id])
        unit.record(posts[edited.id].rewrite(PostUpdate(text=text), await unit.users.advance_timeline(ada.id)))
        gone = posts[deleted.id]
        unit.record(gone.rewrite(PostUpdate(text="soon gone"), await unit.users.advance_timeline(ada.id)))
        await unit.delete(gone)
        unit.record(gone.removed(await unit.users.advance_timeline(ada.id)))
        await unit.commit()

    with pytest.raises(QuotaExceeded):
        await implementation.transactions.run(edit, "thirteen byte")
    await implementation.transactions.run(edit, "twelve bytes")

    assert await kept_by(implementation, ada.id) == (1, 12)


async def test_a_change_beyond_a_quota_is_refused_when_it_is_announced_or_at_the_commit(
    implementation: Implementation, published: list[PostEvent]
) -> None:
    ada = await implementation.add_user()
    await bound(implementation, ada.id, posts=1)
    await add_post(implementation, ada.id)

    async def announce(unit: UnitOfWork) -> None:
        await unit.users.advance_timeline(ada.id, Growth(1, 1))

    for use_case in (announce, lambda unit: add_and_commit(unit, ada.id)):
        with pytest.raises(QuotaExceeded) as refused:
            await implementation.transactions.run(use_case)
        assert (refused.value.quota, refused.value.limit, refused.value.used) == ("posts", 1, 1)

    assert await kept_by(implementation, ada.id) == (1, 5)
    assert await implementation.version_of(ada.id) == len(published) == 1
    assert implementation.transactions.quotas.refused["posts"] == 2


async def add_and_commit(unit: UnitOfWork, owner_id: UUID) -> None:
    await write(unit, owner_id)
    await unit.commit()


async def test_a_unit_of_work_that_makes_room_for_what_it_adds_is_allowed(implementation: Implementation) -> None:
    ada = await implementation.add_user()
    await bound(implementation, ada.id, posts=1, size=5)
    before = await add_post(implementation, ada.id)

    async with implementation.transactions.begin() as unit:
        await write(unit, ada.id)
        gone = await unit.get(Post, ada.id, before.id)
        await unit.delete(gone)
        unit.record(gone.removed(await unit.users.advance_timeline(ada.id)))
        await unit.commit()

    assert await kept_by(implementation, ada.id) == (1, 5)


async def test_of_several_users_those_without_room_get_no_version(implementation: Implementation) -> None:
    ada, bob, zoe = [await implementation.add_user() for _ in range(3)]
    await bound(implementation, ada.id, posts=1)
    await bound(implementation, bob.id, posts=None, size=3)

    async with implementation.transactions.begin() as unit:
        growth = {ada.id: Growth(2, 2), bob.id: Growth(1, 4), zoe.id: Growth(1, 4)}
        versions = await unit.users.advance_timelines({ada.id: 2, bob.id: 1, zoe.id: 1}, growth)
        alone = await unit.users.advance_timelines({ada.id: 2}, {ada.id: Growth(2, 2)})
        await unit.rollback()

    assert (versions, alone) == ({ada.id: None, bob.id: None, zoe.id: 1}, {ada.id: None})
    assert await kept_by(implementation, ada.id) == (0, 0)


async def test_only_the_owners_posts_are_found_among_ids(implementation: Implementation) -> None:
    ada, bob = [await implementation.add_user() for _ in range(2)]
    first, second, bobs = [await add_post(implementation, owner.id) for owner in (ada, ada, bob)]

    async with implementation.transactions.begin() as unit:
        assert await unit.posts.existing(ada.id, [first.id, second.id, bobs.id, ada.id]) == {first.id, second.id}
        assert await unit.posts.existing(ada.id, []) == set()
