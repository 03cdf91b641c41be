"""Somebody with a long history is gone at once, and what they owned follows in batches, whatever comes between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import event, func, select
from sqlmodel import col

from app.database.engines import Database
from app.delivery.outbox_inspection import OutboxInspection
from app.delivery.webhook_queue import WebhookQueue
from app.errors import Unauthenticated
from app.service import Policies
from app.storage.policy import RetentionPolicy, StoragePolicy
from app.storage.pruning import Pruner
from models import Erasure, IdempotencyKey, Post, Session, StoredEvent, User, Webhook, WebhookDelivery
from models.columns import now
from models.erasure import OWNED
from tests.factories import PostCreateFactory, SessionFactory, UserFactory
from tests.integration.ledger import Ledger
from tests.integration.lock_waits import until_someone_waits_for_a_lock

POSTS = 7


# Even a short history is too long to be removed in the request.
LONG = RetentionPolicy(inline_rows=POSTS - 1, batch_rows=3)


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database, Policies(storage=StoragePolicy(retention=LONG)))


@pytest.fixture
async def ada(ledger: Ledger) -> UUID:
    return await add_writer(ledger)


@pytest.fixture
async def bob(ledger: Ledger) -> AsyncIterator[UUID]:
    """Somebody else, of whom nothing may be missing in the end."""
    bob = await add_writer(ledger)
    yield bob
    assert await left(ledger.database) == [POSTS] * 4
    assert len((await ledger.list(bob)).posts) == POSTS


async def add_writer(ledger: Ledger) -> UUID:
    """Add somebody with posts that a webhook is still to be told of, all added with a key."""
    user_id = await ledger.add_user()
    webhook = Webhook(user_id=user_id, url="https://example.com", events=["post.created"], since_version=0)
    async with ledger.transactions.begin() as unit:
        await unit.add(webhook)
        await unit.commit()
    for number in range(POSTS):
        await ledger.posts.create(user_id, PostCreateFactory.build(), f"key {number}")
    async with ledger.transactions.begin() as unit:
        await unit.webhooks.queue(user_id, await ledger.stored(user_id))
        await unit.commit()
    return user_id


async def erase(ledger: Ledger, user_id: UUID, retention: RetentionPolicy = LONG) -> User:
    ledger = Ledger(ledger.database, Policies(storage=StoragePolicy(retention=retention)))
    async with ledger.transactions.begin() as unit:
        user = await unit.users.lock(user_id)
        await unit.users.delete(user)
        await unit.commit()
    return user


async def left(database: Database) -> list[int]:
    async with database.reading() as connection:
        return [
            (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in dict.fromkeys(owner.class_ for owner, *_ in OWNED)
        ]


async def erasures(database: Database) -> int:
    async with database.reading() as connection:
        return (await connection.execute(select(func.count()).select_from(Erasure))).scalar_one()


def pruner_of(database: Database, retention: RetentionPolicy = LONG) -> Pruner:
    return Pruner(database, retention=retention, interval=timedelta(minutes=5))


async def test_a_long_history_is_left_to_the_pruner_which_removes_all_of_it(
    ledger: Ledger, ada: UUID, bob: UUID
) -> None:
    await erase(ledger, ada)
    assert await left(ledger.database) == [2 * POSTS] * 4

    assert await pruner_of(ledger.database).prune() == 4 * POSTS

    assert await left(ledger.database) == [POSTS] * 4
    assert await erasures(ledger.database) == 0


async def test_a_short_history_is_gone_with_the_person(ledger: Ledger, ada: UUID, bob: UUID) -> None:
    await erase(ledger, ada, RetentionPolicy(inline_rows=POSTS))

    assert await left(ledger.database) == [POSTS] * 4
    assert await erasures(ledger.database) == 0


async def test_few_posts_may_be_too_large_to_go_with_the_person(ledger: Ledger, ada: UUID) -> None:
    await erase(ledger, ada, RetentionPolicy(inline_rows=POSTS, inline_bytes=10))

    assert await left(ledger.database) == [POSTS] * 4
    assert await erasures(ledger.database) == 2


async def test_large_posts_are_removed_a_few_at_a_time(ledger: Ledger, ada: UUID, bob: UUID) -> None:
    await erase(ledger, ada)
    transactions: list[object] = []
    event.listen(ledger.database.writer.sync_engine, "commit", transactions.append)

    assert await pruner_of(ledger.database, replace(LONG, batch_bytes=1)).prune() == 4 * POSTS

    # Each post by itself, three at a time of all else of one person and one webhook, and both marks.
    assert len(transactions) == POSTS + 3 * 3 + 2
    assert await left(ledger.database) == [POSTS] * 4


async def test_what_can_not_be_removed_holds_up_no_other_pruning(
    ledger: Ledger, ada: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    await erase(ledger, ada)
    pruner = pruner_of(ledger.database)
    expired = SessionFactory.build(user_id=await ledger.add_user(), expires_at=now() - timedelta(days=1))
    async with ledger.transactions.begin() as unit:
        await unit.add(expired)
        await unit.commit()
    monkeypatch.setattr(pruner, "_remove_owned", None)

    with pytest.raises(TypeError):
        await pruner.prune()

    async with ledger.database.reading() as connection:
        assert (await connection.execute(select(col(Session.id)).where(col(Session.id) == expired.id))).first() is None


async def test_the_address_is_free_before_the_history_is_gone(ledger: Ledger, ada: UUID) -> None:
    user = await erase(ledger, ada)

    again = UserFactory.build(email=user.email)
    async with ledger.transactions.begin() as unit:
        await unit.users.add(again)
        await unit.commit()

    assert (await ledger.list(again.id)).posts == []


@pytest.mark.parametrize("limit", [None, 2])
async def test_what_is_left_is_nobodys_list(ledger: Ledger, ada: UUID, limit: int | None) -> None:
    await erase(ledger, ada)
    queries = ledger.queries

    with pytest.raises(Unauthenticated):
        await queries.page(ada, limit, None)
    with pytest.raises(Unauthenticated):
        await anext(aiter(queries.page_in_parts(ada, limit, None)))
    with pytest.raises(Unauthenticated):
        await anext(aiter(ledger.exports.lines(ada, ada)))


async def test_nothing_is_added_to_what_is_left(ledger: Ledger, ada: UUID) -> None:
    await erase(ledger, ada)

    for key in (None, "key 0", "another"):
        with pytest.raises(Unauthenticated):
            await ledger.posts.create(ada, PostCreateFactory.build(), key)
    assert await left(ledger.database) == [POSTS] * 4


async def test_what_is_added_while_somebody_is_erased_goes_with_them(ledger: Ledger, ada: UUID, bob: UUID) -> None:
    async def add(number: int) -> None:
        with suppress(Unauthenticated):
            await ledger.posts.create(ada, PostCreateFactory.build(), f"another {number}" if number % 2 else None)
            async with ledger.transactions.begin() as unit:
                await unit.webhooks.queue(ada, (await ledger.stored(ada))[-1:])
                await unit.commit()

    await asyncio.gather(*map(add, range(8)), erase(ledger, ada), *map(add, range(8, 16)))

    await pruner_of(ledger.database).prune()


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
async def test_what_is_being_queued_for_a_webhook_is_waited_for_and_goes_with_it(
    ledger: Ledger, ada: UUID, bob: UUID
) -> None:
    await ledger.posts.create(ada, PostCreateFactory.build())
    async with ledger.transactions.begin() as unit:
        await unit.webhooks.queue(ada, await ledger.stored(ada))
        erasing = asyncio.create_task(erase(ledger, ada, RetentionPolicy(inline_rows=POSTS + 1)))
        await until_someone_waits_for_a_lock(ledger.database)
        await unit.commit()

    await erasing


async def test_what_is_left_is_told_to_nobody(ledger: Ledger, ada: UUID) -> None:
    queue = WebhookQueue(ledger.database)
    (claimed,) = await queue.claim(10, sending={}, per_user=10)
    assert len(await queue.pending(claimed)) == POSTS

    await erase(ledger, ada)

    assert await queue.pending(claimed) == []
    assert await queue.length() == 0
    inspection = OutboxInspection(ledger.database, ["webhooks"])
    assert await inspection.replay_all("webhooks") == await inspection.replay_all("webhooks", ada) == 0
    assert [(one.behind, one.events) for one in await inspection.status()] == [(0, 0)]


async def test_what_a_removed_webhook_was_told_is_removed_after_it(ledger: Ledger, ada: UUID, bob: UUID) -> None:
    (webhook,) = await ledger.queries.webhooks(ada)
    async with ledger.transactions.begin() as unit:
        assert await unit.webhooks.delete(ada, webhook.id)
        await unit.commit()

    await pruner_of(ledger.database).prune()

    counts = dict(zip((Post, StoredEvent, IdempotencyKey, WebhookDelivery), await left(ledger.database), strict=True))
    assert counts == {Post: 2 * POSTS, StoredEvent: 2 * POSTS, IdempotencyKey: 2 * POSTS, WebhookDelivery: POSTS}
    await erase(ledger, ada)
    await pruner_of(ledger.database).prune()


@pytest.mark.parametrize("statements", range(1, 14, 3))
async def test_what_a_process_that_died_has_left_the_next_removes(
    ledger: Ledger, ada: UUID, bob: UUID, statements: int
) -> None:
    await erase(ledger, ada)
    engine, done = ledger.database.writer.sync_engine, list[str]()

    def die(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("DELETE"):
            done.append(statement)
            if len(done) > statements:
                raise ConnectionError

    event.listen(engine, "before_cursor_execute", die)
    with pytest.raises(ConnectionError):
        await pruner_of(ledger.database).prune()
    event.remove(engine, "before_cursor_execute", die)
    assert await erasures(ledger.database) > 0

    await pruner_of(ledger.database).prune()

    assert await erasures(ledger.database) == 0


async def test_a_process_that_is_told_to_stop_leaves_the_rest_to_the_next(ledger: Ledger, ada: UUID, bob: UUID) -> None:
    await erase(ledger, ada)
    pruner, engine = pruner_of(ledger.database), ledger.database.writer.sync_engine
    event.listen(engine, "commit", lambda _: pruner.stop(), once=True)

    assert await pruner.prune() == 3
    assert await erasures(ledger.database) == 2

    assert await pruner_of(ledger.database).prune() == 4 * POSTS - 3
