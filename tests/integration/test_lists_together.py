"""Small lists that are asked for at once share a statement, and nothing else."""

import asyncio
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event

from app.database.engines import Database
from app.errors import Unauthenticated
from app.service import Policies
from app.storage.policy import ListPolicy, StoragePolicy
from app.storage.post_lists import Page
from models import PostCreate
from tests.factories import TEXTS
from tests.integration.ledger import Ledger


@pytest.fixture
def statements(database: Database) -> list[str]:
    """What is read from here on."""
    seen: list[str] = []
    event.listen(database.reader.sync_engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
    return seen


async def with_posts(ledger: Ledger, *texts: str) -> UUID:
    owner = await ledger.add_user()
    for text in texts:
        await ledger.posts.create(owner, PostCreate(text=text))
    return owner


async def listed(ledger: Ledger, owners: list[UUID]) -> list[tuple[int, list[str]]]:
    pages = await asyncio.gather(*(ledger.list(owner) for owner in owners))
    return [shown(page) for page in pages]


def shown(page: Page) -> tuple[int, list[str]]:
    assert page.next_cursor is None
    return page.version, [post.text for post in page.posts]


async def test_each_owner_has_their_own_posts_newest_first(ledger: Ledger, statements: list[str]) -> None:
    texts = [TEXTS, [], ["one"], TEXTS[::-1]]
    owners = [await with_posts(ledger, *some) for some in texts]
    statements.clear()

    pages = await listed(ledger, [*owners, owners[0]])

    assert pages == [(len(some), some[::-1]) for some in [*texts, texts[0]]]
    assert len(statements) == 1


async def test_a_list_shows_what_was_written_before_it_was_asked_for(ledger: Ledger) -> None:
    owner = await with_posts(ledger)
    others = [await with_posts(ledger, "other") for _ in range(3)]
    for number in range(20):
        under_way = [asyncio.create_task(ledger.list(other)) for other in others]
        await asyncio.sleep(0)
        await ledger.posts.create(owner, PostCreate(text=f"{number}"))

        version, texts = shown(await ledger.list(owner))

        assert (version, texts[0]) == (number + 1, f"{number}")
        await asyncio.gather(*under_way)


@pytest.mark.parametrize(
    "bound", [ListPolicy(small_posts=2), ListPolicy(small_bytes=29)], ids=["of many posts", "of long posts"]
)
async def test_a_list_is_read_by_itself(database: Database, statements: list[str], bound: ListPolicy) -> None:
    ledger = Ledger(database, Policies(storage=StoragePolicy(lists=bound)))
    texts = [["a"] * 2, ["é" * 5] * 3, [], ["c"]]
    owners = [await with_posts(ledger, *some) for some in texts]
    statements.clear()

    assert await listed(ledger, owners) == [(len(some), some[::-1]) for some in texts]
    assert len(statements) == 2


async def test_whose_owner_is_gone_is_refused_alone(ledger: Ledger) -> None:
    owner = await with_posts(ledger, "here")

    results = await asyncio.gather(*(ledger.list(of) for of in (uuid4(), owner, uuid4())), return_exceptions=True)

    assert [isinstance(result, Unauthenticated) for result in results] == [True, False, True]
