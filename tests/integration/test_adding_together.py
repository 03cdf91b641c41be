"""Posts that are added at once share a transaction, and nothing else."""

import asyncio
from uuid import uuid4

import pytest

from app.errors import Unauthenticated
from models import PostCreate
from tests.factories import TEXTS, PostCreateFactory
from tests.integration.ledger import Ledger


async def test_each_owner_has_their_own_posts_in_the_order_they_came(ledger: Ledger) -> None:
    owners = [await ledger.add_user() for _ in range(3)]
    drafts = [(owner, f"{number} {text}") for number, text in enumerate(TEXTS) for owner in owners]

    added = await asyncio.gather(*(ledger.posts.create(owner, PostCreate(text=text)) for owner, text in drafts))

    assert len({post.post_id for post in added}) == len(drafts)
    for owner in owners:
        page = await ledger.list(owner)
        assert [post.text for post in reversed(page.posts)] == [text for of, text in drafts if of == owner]
        events = await ledger.stored(owner)
        assert [event.version for event in events] == list(range(1, len(TEXTS) + 1))
        assert [event.post_id for event in events] == [post.postID for post in reversed(page.posts)]
        assert [event for event in ledger.published if event.user_id == owner] == events


async def test_whose_owner_is_gone_is_refused_alone(ledger: Ledger) -> None:
    owners = [await ledger.add_user(), uuid4(), await ledger.add_user(), uuid4()]

    results = await asyncio.gather(
        *(ledger.posts.create(owner, PostCreateFactory.build()) for owner in owners), return_exceptions=True
    )

    assert [isinstance(result, Unauthenticated) for result in results] == [False, True, False, True]
    assert [await ledger.version(owner) for owner in owners[::2]] == [1, 1]


# SQLite has one writer at a time.
@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
async def test_an_owner_who_is_written_to_elsewhere_holds_up_nobody_else(ledger: Ledger) -> None:
    busy, *free = [await ledger.add_user() for _ in range(4)]

    async with ledger.transactions.begin() as elsewhere:
        await elsewhere.users.lock(busy)
        held_up = [asyncio.create_task(ledger.posts.create(busy, PostCreateFactory.build())) for _ in range(2)]
        async with asyncio.timeout(5):
            for _ in range(3):
                await asyncio.gather(*(ledger.posts.create(owner, PostCreateFactory.build()) for owner in free))
        # One that comes alone waits for its owner, and beside it the others go on.
        held_up.append(asyncio.create_task(ledger.posts.create(busy, PostCreateFactory.build())))
        await asyncio.sleep(0.01)
        async with asyncio.timeout(5):
            await ledger.posts.create(free[0], PostCreateFactory.build())
        assert not any(task.done() for task in held_up)

    await asyncio.gather(*held_up)
    assert await ledger.version(busy) == 3
    assert [await ledger.version(owner) for owner in free] == [4, 3, 3]
