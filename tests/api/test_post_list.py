"""The list of posts: all of them or pages, never stale, mostly from the cache."""

import asyncio
import re
from uuid import UUID

import pytest
from litestar import Litestar

from app.application import create_app
from app.settings import Settings
from app.storage.post_lists import Page
from app.storage.queries import DatabaseQueries
from models import PostCreate
from tests.api.conftest import Fired, serve
from tests.api.people import Person, assert_problem
from tests.conftest import on_every_database

pytestmark = on_every_database

HIT, MISS = "postline; hit", "postline; fwd=miss"


async def test_nobody_begins_with_posts(ada: Person) -> None:
    response = await ada.get("/posts")

    assert (response.status_code, response.json(), response.headers["etag"]) == (200, [], '"0"')


async def test_the_list_is_whole_and_newest_first(ada: Person, bob: Person, fired: Fired) -> None:
    ids = [await ada.add(f"post {n}") for n in range(30)]
    await bob.add("someone else's")
    fired.take()

    response = await ada.get("/posts")

    assert [post["postID"] for post in response.json()] == ids[::-1]
    assert set(response.json()[0]) == {"postID", "text", "created_at", "updated_at", "version"}
    assert response.headers["etag"] == '"30"'
    assert "link" not in response.headers
    assert fired.take() == []


async def test_an_unchanged_list_comes_from_the_cache_the_same(ada: Person) -> None:
    await ada.add("hello")

    first, second = await ada.get("/posts"), await ada.get("/posts")

    assert [first.headers["cache-status"], second.headers["cache-status"]] == [MISS, HIT]
    assert first.content == second.content
    drop = {"cache-status", "date", "x-request-id"}
    assert {k: v for k, v in first.headers.items() if k not in drop} == {
        k: v for k, v in second.headers.items() if k not in drop
    }


async def test_every_change_shows_in_the_very_next_list(ada: Person) -> None:
    await ada.texts()
    post_id = await ada.add("one")
    assert await ada.texts() == ["one"]
    await ada.request("PATCH", f"/posts/{post_id}", json={"text": "two"})
    assert await ada.texts() == ["two"]
    await ada.request("DELETE", f"/posts/{post_id}")
    assert await ada.texts() == []
    assert (await ada.get("/posts")).headers["etag"] == '"3"'


async def test_the_answer_to_an_added_post_is_not_cached_as_a_list(ada: Person) -> None:
    await ada.get("/posts")
    await ada.add("hello")

    assert await ada.texts() == ["hello"]
    failed = await ada.request("POST", "/posts", json={"text": ""})
    assert_problem(failed, 400, "text")
    assert await ada.texts() == ["hello"]


async def test_one_persons_cache_is_not_anothers(ada: Person, bob: Person) -> None:
    await ada.add("ada's")
    await bob.add("bob's")

    for _ in range(2):
        assert await ada.texts() == ["ada's"]
        assert await bob.texts() == ["bob's"]


async def test_a_cached_list_is_good_for_so_long_and_no_longer(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"cache_seconds": 2}))
    async with serve(app) as client:
        ada = await Person.sign_up(client, "ada@example.com")
        await ada.get("/posts")
        assert (await ada.get("/posts")).headers["cache-status"] == HIT
        await asyncio.sleep(2.1)
        assert (await ada.get("/posts")).headers["cache-status"] == MISS


async def test_the_default_is_five_minutes(app: Litestar) -> None:
    assert app.response_cache_config is not None
    assert app.response_cache_config.default_expiration == 300


async def test_a_list_too_large_for_the_cache_is_still_answered(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"cache_max_bytes": 8_000}))
    async with serve(app) as client:
        ada = await Person.sign_up(client, "ada@example.com")
        await ada.add("x" * 2_000)
        for _ in range(2):
            response = await ada.get("/posts")
            assert (response.status_code, response.headers["cache-status"]) == (200, MISS)


@pytest.mark.parametrize("is_cached", [False, True])
@pytest.mark.parametrize("tag", ['"1"', 'W/"1"', '"0", "1"', "*"])
async def test_a_list_that_the_client_has_is_not_sent_again(ada: Person, tag: str, is_cached: bool) -> None:
    await ada.add("hello")
    if is_cached:
        await ada.get("/posts")

    response = await ada.get("/posts", headers={"if-none-match": tag})

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == '"1"'
    assert response.headers["cache-status"] == HIT


async def test_a_list_that_changed_is_sent(ada: Person) -> None:
    tag = (await ada.get("/posts")).headers["etag"]
    await ada.add("hello")

    response = await ada.get("/posts", headers={"if-none-match": tag})

    assert (response.status_code, len(response.json())) == (200, 1)


async def test_pages_follow_each_other_to_the_end(ada: Person) -> None:
    ids = [await ada.add(f"post {n}") for n in range(7)]

    seen, path, pages = [], "/posts?limit=3", 0
    while path:
        response = await ada.get(path)
        assert response.status_code == 200
        seen += [post["postID"] for post in response.json()]
        link = re.fullmatch(r'<(.+)>; rel="next"', response.headers.get("link", ""))
        path, pages = (link[1] if link else ""), pages + 1

    assert (seen, pages) == (ids[::-1], 3)


async def test_a_last_page_that_is_full_has_no_next(ada: Person) -> None:
    for n in range(4):
        await ada.add(f"post {n}")

    first = await ada.get("/posts?limit=2")
    second = await ada.get(re.findall(r"<(.+)>", first.headers["link"])[0])

    assert len(second.json()) == 2
    assert "link" not in second.headers


async def test_a_cursor_stays_where_it_was_when_posts_come_and_go(ada: Person) -> None:
    ids = [await ada.add(f"post {n}") for n in range(6)]
    first = await ada.get("/posts?limit=2")
    await ada.add("newer")
    await ada.request("DELETE", f"/posts/{ids[4]}")
    await ada.request("DELETE", f"/posts/{ids[3]}")

    second = await ada.get(re.findall(r"<(.+)>", first.headers["link"])[0])

    assert [post["postID"] for post in second.json()] == [ids[2], ids[1]]


async def test_a_cursor_alone_lists_all_that_follows(ada: Person) -> None:
    ids = [await ada.add(f"post {n}") for n in range(4)]

    response = await ada.get("/posts?cursor=3")

    assert [post["postID"] for post in response.json()] == [ids[1], ids[0]]


async def test_pages_are_cached_apart(ada: Person) -> None:
    for n in range(4):
        await ada.add(f"post {n}")

    for path in ("/posts", "/posts?limit=2", "/posts?limit=3", "/posts?limit=2&cursor=3"):
        first, second = await ada.get(path), await ada.get(path)
        assert [first.headers["cache-status"], second.headers["cache-status"]] == [MISS, HIT]
        assert first.content == second.content
        assert first.headers.get("link") == second.headers.get("link")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=many", "limit"),
        ("limit=2.5", "limit"),
        ("limit=1e2", "limit"),
        ("limit=2.0", "limit"),
        ("limit=null", "limit"),
        ("limit=%D9%A3", "limit"),
        ("limit=null&limit=3", "limit"),
        ("cursor=0", "cursor"),
        ("cursor=abc", "cursor"),
        ("cursor=null", "cursor"),
        ("cursor=9223372036854775808", "cursor"),
        (f"cursor={'9' * 400}", "cursor"),
    ],
)
async def test_a_page_that_can_not_be_is_refused(ada: Person, fired: Fired, query: str, field: str) -> None:
    assert_problem(await ada.get(f"/posts?{query}"), 400, field)
    assert fired.take() == []


async def test_the_largest_page_and_cursor_are_taken(ada: Person) -> None:
    await ada.add("hello")

    assert len((await ada.get("/posts?limit=1000&cursor=9223372036854775807")).json()) == 1


async def test_a_list_that_was_read_newer_than_looked_up_is_named_and_cached_by_what_was_read(
    app: Litestar, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = DatabaseQueries.page

    async def write_then_read(self: DatabaseQueries, owner_id: UUID, *bounds: int | None) -> Page | None:
        monkeypatch.setattr(DatabaseQueries, "page", read)
        await app.state.service.posts.create(owner_id, PostCreate(text="meanwhile"))
        return await read(self, owner_id, *bounds)

    monkeypatch.setattr(DatabaseQueries, "page", write_then_read)
    first = await ada.get("/posts")
    second = await ada.get("/posts")

    assert [post["text"] for post in first.json()] == ["meanwhile"]
    assert (first.headers["etag"], first.headers["cache-status"]) == ('"1"', MISS)
    assert (second.content, second.headers["cache-status"]) == (first.content, HIT)


@pytest.mark.parametrize("first_query", ["limit=1", "limit=1&limit=3", "limit=3&limit=1", "limit=3"])
async def test_repeated_parameters_do_not_put_one_page_in_anothers_place(ada: Person, first_query: str) -> None:
    for number in range(5):
        await ada.add(f"post {number}")
    await ada.get(f"/posts?{first_query}")

    for _ in range(2):
        assert len((await ada.get("/posts?limit=1")).json()) == 1
        assert len((await ada.get("/posts?limit=3")).json()) == 3
        assert len((await ada.get("/posts")).json()) == 5


@pytest.mark.parametrize("query", ["limit=", "limit=0", "cursor=x"])
async def test_what_is_in_the_cache_or_at_the_client_does_not_make_a_query_valid(ada: Person, query: str) -> None:
    await ada.get("/posts")

    assert_problem(await ada.get(f"/posts?{query}"), 400, query.partition("=")[0])
    assert_problem(await ada.get(f"/posts?{query}", headers={"if-none-match": '"0"'}), 400, query.partition("=")[0])


async def test_what_another_route_takes_means_nothing_to_a_list(ada: Person) -> None:
    for _ in range(2):
        assert (await ada.get("/posts?after=abc", headers={"last-event-id": "x"})).status_code == 200


@pytest.mark.parametrize("is_cached", [False, True])
async def test_a_page_that_the_client_has_is_not_sent_again(ada: Person, is_cached: bool) -> None:
    await ada.add("one")
    await ada.add("two")
    if is_cached:
        await ada.get("/posts?limit=1")

    response = await ada.get("/posts?limit=1", headers={"if-none-match": '"2"'})

    assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", '"2"')
    assert response.headers["cache-status"] == (HIT if is_cached else MISS)
    assert len((await ada.get("/posts?limit=1", headers={"if-none-match": '"1"'})).json()) == 1


async def test_a_query_that_means_nothing_does_not_fill_the_cache(ada: Person) -> None:
    await ada.get("/posts?tracking=1")

    assert (await ada.get("/posts?tracking=2")).headers["cache-status"] == HIT
