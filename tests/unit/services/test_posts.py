"""Creating, editing and deleting posts."""

import asyncio
from uuid import uuid4

import pytest

from app.errors import Deadlocked, IdempotencyKeyReused, NotFound, PreconditionFailed, Unauthenticated
from app.ports.security import Principal
from events.types import PostEvent
from models import Post, PostCreate, PostUpdate
from tests.unit.services.conftest import World

DRAFT = PostCreate(text="hello")


def changes(world: World) -> list[tuple[str, int]]:
    return [(event.type, event.version) for event in world.published if isinstance(event, PostEvent)]


async def test_each_change_publishes_its_event(world: World, ada: Principal) -> None:
    created = await world.posts.create(ada.user_id, DRAFT)
    updated = await world.posts.update(ada.user_id, created.post_id, PostUpdate(text="again"))
    await world.posts.delete(ada.user_id, created.post_id)

    assert (updated.post.text, updated.post.version) == ("again", 2)
    assert changes(world) == [("post.created", 1), ("post.updated", 2), ("post.deleted", 3)]
    assert world.database.all(Post) == []


async def test_posts_created_at_the_same_time_share_a_transaction(world: World, ada: Principal, bob: Principal) -> None:
    commits = world.database.commits

    await asyncio.gather(*(world.posts.create(user.user_id, DRAFT) for user in (ada, bob) * 5))

    assert world.database.commits == commits + 1
    assert sorted(changes(world)) == [("post.created", version) for version in (1, 1, 2, 2, 3, 3, 4, 4, 5, 5)]


async def test_a_long_post_has_a_transaction_of_its_own(world: World, ada: Principal) -> None:
    commits = world.database.commits

    await asyncio.gather(*(world.posts.create(ada.user_id, PostCreate(text="a" * 16_385)) for _ in range(2)))

    assert world.database.commits == commits + 2


async def test_an_owner_who_is_locked_delays_no_other_in_the_batch(
    world: World, ada: Principal, bob: Principal
) -> None:
    async with world.transactions.begin() as elsewhere:
        await elsewhere.users.lock(ada.user_id)
        adas, bobs = (asyncio.create_task(world.posts.create(user.user_id, DRAFT)) for user in (ada, bob))
        await bobs
        assert not adas.done()
        await elsewhere.rollback()
    await adas

    assert changes(world) == [("post.created", 1), ("post.created", 1)]


async def test_posts_of_owners_who_were_locked_share_a_later_transaction(
    world: World, ada: Principal, bob: Principal
) -> None:
    zoe = await world.sign_up("zoe@example.com")
    commits = world.database.commits
    async with world.transactions.begin() as elsewhere:
        await elsewhere.users.lock(ada.user_id)
        await elsewhere.users.lock(bob.user_id)
        *waiting, zoes = (asyncio.create_task(world.posts.create(user.user_id, DRAFT)) for user in (ada, bob, ada, zoe))
        await zoes
        await elsewhere.rollback()
    await asyncio.gather(*waiting)

    assert world.database.commits == commits + 2


async def test_an_owner_who_is_gone_fails_alone(world: World, ada: Principal) -> None:
    results = await asyncio.gather(
        world.posts.create(uuid4(), DRAFT), world.posts.create(ada.user_id, DRAFT), return_exceptions=True
    )

    assert isinstance(results[0], Unauthenticated)
    assert changes(world) == [("post.created", 1)]


async def test_a_repeated_key_adds_nothing_and_returns_the_first_post(world: World, ada: Principal) -> None:
    first = await world.posts.create(ada.user_id, DRAFT, "key")
    again = await world.posts.create(ada.user_id, DRAFT, "key")

    assert (again.post_id, first.is_replayed, again.is_replayed) == (first.post_id, False, True)
    assert changes(world) == [("post.created", 1)]
    assert world.database.user(ada.user_id).timeline_version == 1  # type: ignore[union-attr]


async def test_a_key_with_another_text_is_refused(world: World, ada: Principal, bob: Principal) -> None:
    await world.posts.create(ada.user_id, DRAFT, "key")

    with pytest.raises(IdempotencyKeyReused):
        await world.posts.create(ada.user_id, PostCreate(text="another"), "key")
    assert not (await world.posts.create(bob.user_id, PostCreate(text="another"), "key")).is_replayed


async def test_only_an_expected_version_is_changed(world: World, ada: Principal) -> None:
    post_id = (await world.posts.create(ada.user_id, DRAFT)).post_id

    with pytest.raises(PreconditionFailed):
        await world.posts.update(ada.user_id, post_id, PostUpdate(text="x"), if_version=frozenset({2}))
    with pytest.raises(PreconditionFailed):
        await world.posts.delete(ada.user_id, post_id, if_version=frozenset())
    await world.posts.delete(ada.user_id, post_id, if_version=frozenset({1, 7}))

    assert changes(world) == [("post.created", 1), ("post.deleted", 2)]


async def test_posts_of_others_are_missing(world: World, ada: Principal, bob: Principal) -> None:
    post_id = (await world.posts.create(ada.user_id, DRAFT)).post_id

    with pytest.raises(NotFound):
        await world.posts.update(bob.user_id, post_id, PostUpdate(text="x"))
    with pytest.raises(NotFound):
        await world.posts.delete(bob.user_id, post_id)

    assert changes(world) == [("post.created", 1)]


@pytest.mark.parametrize("key", [None, "key"])
async def test_a_lost_deadlock_is_retried_and_changes_once(world: World, ada: Principal, key: str | None) -> None:
    world.database.lost_deadlocks = 2

    await world.posts.create(ada.user_id, DRAFT, key)

    assert changes(world) == [("post.created", 1)]
    assert len(world.database.all(Post)) == 1


async def test_after_the_third_lost_deadlock_the_use_case_gives_up(world: World, ada: Principal) -> None:
    world.database.lost_deadlocks = 3

    with pytest.raises(Deadlocked):
        await world.posts.create(ada.user_id, DRAFT, "key")

    assert changes(world) == []
    assert world.database.all(Post) == []
