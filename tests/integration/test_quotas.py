"""Quotas on both databases: exact when many write at once, and after an older version has written without counting."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from app.database.engines import Database
from app.errors import QuotaExceeded
from app.service import Service
from models import Post, PostCreate, PostUpdate, User
from tests.factories import PostFactory
from tests.integration.users import add_user
from tests.service import service_on


def service_with(database: Database, **quotas: int) -> Service:
    return service_on(database, settings={f"max_{quota}_per_user": bound for quota, bound in quotas.items()})


async def counts_of(database: Database, user_id: UUID) -> tuple[int, int]:
    """Return the user's counts, once they are known to be those of the posts in the database."""
    [user] = await database.rows(
        select(col(User.post_count), col(User.post_bytes), col(User.counted_version), col(User.timeline_version)).where(
            col(User.id) == user_id
        )
    )
    sizes = [size for (size,) in await database.rows(select(col(Post.size)).where(col(Post.user_id) == user_id))]
    assert user.counted_version == user.timeline_version
    assert (user.post_count, user.post_bytes) == (len(sizes), sum(sizes))
    return user.post_count, user.post_bytes


async def all_at_once(*writes: Any) -> tuple[Sequence[Any], Sequence[QuotaExceeded]]:
    """Return the results of those that were let through, and the refusals; anything else is raised."""
    results = await asyncio.gather(*writes, return_exceptions=True)
    refusals = [result for result in results if isinstance(result, QuotaExceeded)]
    done = [result for result in results if not isinstance(result, QuotaExceeded)]
    for result in done:
        if isinstance(result, BaseException):
            raise result
    return done, refusals


async def test_of_a_hundred_posts_at_once_exactly_the_bound_is_added(database: Database) -> None:
    service = service_with(database, posts=37)
    ada, bob = [await add_user(service.transactions) for _ in range(2)]
    drafts = [PostCreate(text=f"number {n}") for n in range(100)]

    done, refusals = await all_at_once(*(service.posts.create(ada, draft) for draft in drafts))

    assert (len(done), len(refusals)) == (37, 63)
    assert {(each.quota, each.limit, each.used) for each in refusals} == {("posts", 37, 37)}
    assert service.transactions.quotas.refused["posts"] == 63
    assert (await counts_of(database, ada))[0] == 37
    await service.posts.create(bob, drafts[0])


async def test_of_a_hundred_posts_with_keys_long_and_short_exactly_the_bound_is_added(database: Database) -> None:
    service = service_with(database, posts=20)
    ada = await add_user(service.transactions)
    short, long = PostCreate(text="short"), PostCreate(text="x" * 20_000)

    done, refusals = await all_at_once(
        *(service.posts.create(ada, short) for _ in range(40)),
        *(service.posts.create(ada, short, f"key-{n}") for n in range(40)),
        *(service.posts.create(ada, long) for _ in range(20)),
    )

    assert (len(done), len(refusals)) == (20, 80)
    assert (await counts_of(database, ada))[0] == 20


async def test_users_at_their_bound_hold_up_nobody_in_their_batch(database: Database) -> None:
    service = service_with(database, posts=2)
    users = [await add_user(service.transactions) for _ in range(4)]
    full, *free = users
    for _ in range(2):
        await service.posts.create(full, PostCreate(text="hello"))

    # The first is under way alone; all others share a batch.
    done, refusals = await all_at_once(
        *(service.posts.create(user, PostCreate(text=f"of different {'length' * n}")) for n, user in enumerate(users)),
        *(service.posts.create(user, PostCreate(text=f"and {'again' * n}")) for n, user in enumerate(users)),
    )

    assert (len(done), len(refusals)) == (6, 2)
    assert [(await counts_of(database, user))[0] for user in users] == [2, 2, 2, 2]
    assert [[post.text for post in (await service.queries.page(user)).posts] for user in free] == [  # type: ignore[union-attr]
        [f"and {'again' * n}", f"of different {'length' * n}"] for n in range(1, 4)
    ]


async def test_bytes_are_those_of_utf_8_and_edits_count_by_what_they_add(database: Database) -> None:
    service = service_with(database, bytes=20)
    ada = await add_user(service.transactions)
    post_id = (await service.posts.create(ada, PostCreate(text="🦆🦆"))).post_id
    assert await counts_of(database, ada) == (1, 8)

    await service.posts.update(ada, post_id, PostUpdate(text="x" * 20))
    with pytest.raises(QuotaExceeded, match="You have 20 of at most 20 bytes of text"):
        await service.posts.update(ada, post_id, PostUpdate(text="x" * 21))
    with pytest.raises(QuotaExceeded):
        await service.posts.create(ada, PostCreate(text="y"))
    assert (await service.queries.post(ada, post_id)).version == 2
    assert await counts_of(database, ada) == (1, 20)

    await service.posts.update(ada, post_id, PostUpdate(text="x" * 19))
    await service.posts.create(ada, PostCreate(text="y"))
    await service.posts.delete(ada, post_id)
    assert await counts_of(database, ada) == (1, 1)


async def test_edits_at_once_never_exceed_the_bytes(database: Database) -> None:
    service = service_with(database, bytes=100)
    ada = await add_user(service.transactions)
    posts = [(await service.posts.create(ada, PostCreate(text="x"))).post_id for _ in range(10)]

    done, refusals = await all_at_once(
        *(service.posts.update(ada, post_id, PostUpdate(text="x" * 31)) for post_id in posts)
    )

    # Three grow by thirty; the fourth would be beyond.
    assert (len(done), len(refusals)) == (3, 7)
    assert await counts_of(database, ada) == (10, 100)


async def test_above_a_bound_that_was_lowered_everything_that_does_not_grow_is_allowed(database: Database) -> None:
    service = service_with(database, posts=1, bytes=5)
    ada = await add_user(service.transactions)
    unbounded = service_on(database)
    first, second = [(await unbounded.posts.create(ada, PostCreate(text="x" * 10))).post_id for _ in range(2)]

    await service.posts.update(ada, first, PostUpdate(text="y" * 10))
    await service.posts.update(ada, first, PostUpdate(text="y" * 9))
    with pytest.raises(QuotaExceeded):
        await service.posts.update(ada, first, PostUpdate(text="y" * 10))
    await service.posts.delete(ada, second)
    assert await counts_of(database, ada) == (1, 9)


async def test_a_users_own_bound_goes_before_that_of_all(database: Database) -> None:
    service = service_with(database, posts=1)
    ada, bob = [await add_user(service.transactions) for _ in range(2)]
    async with database.writer.begin() as connection:
        await connection.execute(update(User).where(col(User.id) == ada).values(max_posts=3))

    for user, bound in ((ada, 3), (bob, 1)):
        done, refusals = await all_at_once(*(service.posts.create(user, PostCreate(text="hello")) for _ in range(5)))
        assert (len(done), [each.limit for each in refusals]) == (bound, [bound] * (5 - bound))


async def test_what_a_process_of_the_version_before_wrote_is_counted_with_the_next_write(database: Database) -> None:
    service = service_with(database, posts=6)
    ada, bob, zoe = [await add_user(service.transactions) for _ in range(3)]
    await service.posts.create(ada, PostCreate(text="counted"))
    async with database.writer.begin() as connection:
        for user in (ada, bob):
            for position in (100, 101):
                values = PostFactory.build(user_id=user, text="uncounted", position=position).model_dump()
                await connection.execute(Post.__table__.insert().values(values))  # type: ignore[attr-defined]
            await connection.execute(
                update(User).where(col(User.id) == user).values(timeline_version=col(User.timeline_version) + 2)
            )
    me = await service.queries.user(ada)
    assert me.limits is not None
    assert (me.post_count, me.limits.bytes.used) == (3, 25)

    # One alone, then all in one batch.
    await service.posts.create(ada, PostCreate(text="next"))
    await asyncio.gather(*(service.posts.create(user, PostCreate(text="next")) for user in (zoe, ada, bob)))

    assert [await counts_of(database, user) for user in (ada, bob, zoe)] == [(5, 33), (3, 22), (1, 4)]


async def test_a_rolled_back_write_counts_nothing(database: Database) -> None:
    service = service_with(database, posts=2)
    ada = await add_user(service.transactions)

    created = await service.posts.create(ada, PostCreate(text="once"), "key")
    await service.posts.create(ada, PostCreate(text="twice"))
    replayed = await service.posts.create(ada, PostCreate(text="once"), "key")

    assert (replayed.post_id, replayed.is_replayed) == (created.post_id, True)
    with pytest.raises(QuotaExceeded):
        await service.posts.create(ada, PostCreate(text="three times"), "another key")
    assert await counts_of(database, ada) == (2, 9)
    await service.posts.delete(ada, created.post_id)
    assert not (await service.posts.create(ada, PostCreate(text="three times"), "another key")).is_replayed
