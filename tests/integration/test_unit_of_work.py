"""One transaction: the change, its version, its event and the news of it, all or none."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from app.database.engines import Database
from app.errors import EmailTaken, NotFound, PreconditionFailed, Unauthenticated
from app.ports.unit_of_work import IncompleteUnitOfWork
from app.storage.unit_of_work import SqlUnitOfWork
from models import Post, StoredEvent
from tests.factories import PostCreateFactory, PostUpdateFactory, UserFactory
from tests.integration.ledger import Ledger


async def test_every_committed_change_has_its_version_its_stored_event_and_its_news(ledger: Ledger) -> None:
    user_id = await ledger.add_user()

    post_id = (await ledger.posts.create(user_id, PostCreateFactory.build())).post_id
    await ledger.posts.update(user_id, post_id, PostUpdateFactory.build())
    await ledger.posts.delete(user_id, post_id)

    stored = await ledger.stored(user_id)
    assert [(event.version, event.type) for event in stored] == [
        (1, "post.created"),
        (2, "post.updated"),
        (3, "post.deleted"),
    ]
    assert ledger.published == stored
    assert await ledger.version(user_id) == 3


async def test_leaving_without_commit_drops_the_change_its_event_and_its_news(ledger: Ledger) -> None:
    user_id = await ledger.add_user()

    async def write_and_leave() -> None:
        async with ledger.transactions.begin() as unit:
            version = await unit.users.advance_timeline(user_id)
            post, created = Post.write(user_id, PostCreateFactory.build(), version)
            await unit.posts.add([post])
            unit.record(created)

    with pytest.raises(IncompleteUnitOfWork):
        await write_and_leave()

    assert (await ledger.version(user_id), await ledger.stored(user_id), ledger.published) == (0, [], [])
    assert (await ledger.list(user_id)).posts == []


async def test_an_error_after_the_change_drops_it_all(ledger: Ledger) -> None:
    user_id = await ledger.add_user()
    post_id = (await ledger.posts.create(user_id, PostCreateFactory.build(text="first"))).post_id

    with pytest.raises(PreconditionFailed):
        await ledger.posts.update(user_id, post_id, PostUpdateFactory.build(), if_version=frozenset({9}))
    with pytest.raises(NotFound):
        await ledger.posts.delete(user_id, user_id)

    assert await ledger.version(user_id) == 1
    assert len(ledger.published) == len(await ledger.stored(user_id)) == 1
    assert (await ledger.queries.post(user_id, post_id)).text == "first"


async def test_a_commit_that_fails_publishes_nothing(ledger: Ledger) -> None:
    user_id = await ledger.add_user()

    async with ledger.transactions.begin() as unit:
        version = await unit.users.advance_timeline(user_id)
        post, created = Post.write(user_id, PostCreateFactory.build(), version)
        await unit.posts.add([post])
        unit.record(created)
        assert isinstance(unit, SqlUnitOfWork)
        # Another event under the same version, as no writer that locks the user's row could store.
        await (await unit._session.connection()).execute(insert(StoredEvent), [StoredEvent.values_of(created)])
        with pytest.raises(IntegrityError):
            await unit.commit()

    assert (await ledger.version(user_id), await ledger.stored(user_id), ledger.published) == (0, [], [])


async def test_concurrent_writers_of_one_user_make_versions_without_a_gap(ledger: Ledger) -> None:
    user_id = await ledger.add_user()
    drafts = PostCreateFactory.batch(20)

    await asyncio.gather(*(ledger.posts.create(user_id, draft) for draft in drafts))

    assert [event.version for event in await ledger.stored(user_id)] == list(range(1, 21))
    assert sorted(event.version for event in ledger.published) == list(range(1, 21))
    page = await ledger.list(user_id)
    assert page.version == 20
    assert sorted(post.text for post in page.posts) == sorted(draft.text for draft in drafts)


async def test_writers_of_different_users_do_not_share_versions(ledger: Ledger) -> None:
    users = [await ledger.add_user() for _ in range(4)]

    await asyncio.gather(*(ledger.posts.create(user, PostCreateFactory.build()) for user in users * 5))

    for user in users:
        assert [event.version for event in await ledger.stored(user)] == [1, 2, 3, 4, 5]


async def test_a_request_that_is_cancelled_while_it_commits_still_publishes_what_it_committed(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id = await ledger.add_user()
    committing, proceed = asyncio.Event(), asyncio.Event()

    async with ledger.transactions.begin() as unit:
        version = await unit.users.advance_timeline(user_id)
        post, created = Post.write(user_id, PostCreateFactory.build(), version)
        await unit.posts.add([post])
        unit.record(created)
        assert isinstance(unit, SqlUnitOfWork)
        commit = unit._session.commit

        async def slow_commit() -> None:
            committing.set()
            await proceed.wait()
            await commit()

        monkeypatch.setattr(unit._session, "commit", slow_commit)
        request = asyncio.ensure_future(unit.commit())
        await committing.wait()
        request.cancel()
        await asyncio.sleep(0)
        proceed.set()
        with pytest.raises(asyncio.CancelledError):
            await request

    assert await ledger.version(user_id) == 1
    assert ledger.published == await ledger.stored(user_id) == [created]


async def test_a_user_who_is_gone_can_not_write(ledger: Ledger) -> None:
    with pytest.raises(Unauthenticated):
        await ledger.posts.create(UserFactory.build().id, PostCreateFactory.build())
    with pytest.raises(Unauthenticated):
        await ledger.queries.page(UserFactory.build().id)


async def test_a_taken_address_is_told_apart_from_other_errors(ledger: Ledger) -> None:
    user = UserFactory.build()
    duplicate = UserFactory.build(email=user.email)

    async with ledger.transactions.begin() as unit:
        await unit.users.add(user)
        await unit.commit()
    async with ledger.transactions.begin() as unit:
        with pytest.raises(EmailTaken):
            await unit.users.add(duplicate)


async def test_a_list_and_its_version_are_of_one_snapshot(ledger: Ledger) -> None:
    user_id = await ledger.add_user()
    done = False

    async def write() -> None:
        nonlocal done
        for _ in range(30):
            await ledger.posts.create(user_id, PostCreateFactory.build())
        done = True

    async def read() -> list[Any]:
        torn = []
        while not done:
            page = await ledger.list(user_id)
            if len(page.posts) != page.version:
                torn.append((page.version, len(page.posts)))
        return torn

    _, torn = await asyncio.gather(write(), read())
    assert torn == []


async def test_a_transaction_that_reads_before_it_writes_is_not_overtaken(ledger: Ledger) -> None:
    user_id = await ledger.add_user()
    other = Ledger(Database(ledger.database.url, pool_size=2))

    async with ledger.transactions.begin() as unit:
        user = await unit.users.lock(user_id)
        overtaking = asyncio.create_task(other.posts.create(user_id, PostCreateFactory.build()))
        await asyncio.sleep(0.2)
        assert not overtaking.done()
        user.password_hash = "changed"
        await unit.commit()
    await overtaking

    assert await ledger.version(user_id) == 1
    await other.database.close()
