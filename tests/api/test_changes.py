"""What changed since a version: each post once, in its newest state, page by page."""

from typing import Any

import pytest
from litestar import Litestar
from sqlalchemy import delete
from sqlmodel import col

from app.service import Policies
from app.storage.policy import ListPolicy, StoragePolicy
from models import StoredEvent
from tests.api.people import Person, assert_problem
from tests.api.test_query_counts import counted
from tests.conftest import on_every_database

pytestmark = on_every_database

SMALL_PAGES = Policies(storage=StoragePolicy(lists=ListPolicy(max_held_bytes=3000)))


async def changes(person: Person, since: int, limit: int | None = None) -> dict[str, Any]:
    response = await person.get(f"/posts/changes?since={since}" + (f"&limit={limit}" if limit else ""))
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def versions(answer: dict[str, Any]) -> list[int]:
    return [change["version"] for change in answer["changes"]]


async def copy_of(person: Person, since: int = 0, limit: int = 3) -> dict[str, dict[str, Any]]:
    """Return the posts that a client has who follows the pages to their end."""
    posts: dict[str, dict[str, Any]] = {}
    has_more = True
    while has_more:
        page = await changes(person, since, limit)
        assert page["version"] > since or not page["has_more"]
        assert len(page["changes"]) <= limit
        for change in page["changes"]:
            assert since < change["version"] <= page["version"]
            posts.pop(change["postID"], None)
            if change["post"] is not None:
                posts[change["postID"]] = change["post"]
        since, has_more = page["version"], page["has_more"]
    return posts


async def forget(app: Litestar, *forgotten: int) -> None:
    """Prune the events of these versions."""
    async with app.state.service.database.writer.begin() as connection:
        await connection.execute(delete(StoredEvent).where(col(StoredEvent.version).in_(forgotten)))


async def test_without_a_change_there_is_nothing_to_tell(ada: Person) -> None:
    assert await changes(ada, 0) == {"version": 0, "changes": [], "has_more": False}
    await ada.add("hello")
    assert await changes(ada, 1) == {"version": 1, "changes": [], "has_more": False}


async def test_each_changed_post_comes_once_in_its_newest_state(ada: Person) -> None:
    before, edited, kept = [await ada.add(f"post {n}") for n in range(3)]
    await ada.request("PATCH", f"/posts/{edited}", json={"text": "again"})
    await ada.request("DELETE", f"/posts/{before}")
    await ada.request("PATCH", f"/posts/{edited}", json={"text": "and again"})

    response = await ada.get("/posts/changes?since=1")

    posts = {post["postID"]: post for post in (await ada.get("/posts")).json()}
    assert response.json() == {
        "version": 6,
        "changes": [
            {"version": 3, "postID": kept, "post": posts[kept]},
            {"version": 5, "postID": before, "post": None},
            {"version": 6, "postID": edited, "post": posts[edited]},
        ],
        "has_more": False,
    }
    assert (response.headers["etag"], response.headers["content-type"]) == ('"6"', "application/json")


async def test_a_post_that_came_and_went_is_one_tombstone(ada: Person) -> None:
    post_id = await ada.add("hello")
    await ada.request("PATCH", f"/posts/{post_id}", json={"text": "again"})
    await ada.request("DELETE", f"/posts/{post_id}")

    assert (await changes(ada, 0))["changes"] == [{"version": 3, "postID": post_id, "post": None}]


async def test_pages_are_cut_by_the_newest_change_and_continue_with_their_version(ada: Person) -> None:
    first, *_, last = [await ada.add(f"post {n}") for n in range(4)]
    await ada.request("PATCH", f"/posts/{first}", json={"text": "again"})
    await ada.request("DELETE", f"/posts/{last}")

    page = await changes(ada, 0, 2)
    assert (versions(page), page["version"], page["has_more"]) == ([2, 3], 3, True)
    page = await changes(ada, 3, 2)
    assert (versions(page), page["version"], page["has_more"]) == ([5, 6], 6, False)


@pytest.mark.parametrize("limit", [1, 2, 5, 1000])
async def test_who_follows_the_pages_has_what_the_list_has(ada: Person, bob: Person, limit: int) -> None:
    ids = [await ada.add(f"post {n}") for n in range(12)]
    await bob.add("someone else's")
    for number in (3, 0, 3, 7, 3):
        await ada.request("PATCH", f"/posts/{ids[number]}", json={"text": f"edit of {number}"})
    for number in (7, 11):
        await ada.request("DELETE", f"/posts/{ids[number]}")

    posts = await copy_of(ada, limit=limit)

    assert posts == {post["postID"]: post for post in (await ada.get("/posts")).json()}


async def test_a_post_that_was_edited_very_often_is_passed_over_a_hundred_edits_at_a_time(ada: Person) -> None:
    post_id = await ada.add("hello")
    for number in range(120):
        await ada.request("PATCH", f"/posts/{post_id}", json={"text": f"edit {number}"})

    page = await changes(ada, 0, 1)
    assert (page["changes"], page["version"], page["has_more"]) == ([], 100, True)
    page = await changes(ada, 100, 1)
    assert (versions(page), page["version"], page["has_more"]) == ([121], 121, False)


async def test_somebody_elses_posts_are_not_among_the_changes(ada: Person, bob: Person) -> None:
    await ada.add("private")
    mine = await bob.add("mine")

    assert [change["postID"] for change in (await changes(bob, 0))["changes"]] == [mine]


@pytest.mark.parametrize("policies", [SMALL_PAGES])
async def test_a_page_is_cut_before_its_posts_are_too_large_to_hold(ada: Person) -> None:
    texts = [character * 1000 for character in "abc"] + ["d" * 5000, "e", "\u0001" * 480, "f"]
    for text in texts:
        await ada.add(text)

    since, sizes, seen = 0, list[int](), list[str]()
    while since < len(texts):
        response = await ada.get(f"/posts/changes?since={since}")
        sizes.append(len(response.content))
        seen += [change["post"]["text"] for change in response.json()["changes"]]
        assert response.json()["has_more"] == (len(seen) < len(texts))
        since = response.json()["version"]

    assert seen == texts
    # One that is larger comes alone. As JSON, each of the short characters takes six bytes.
    assert [size < 3000 for size in sizes] == [True, True, False, True, False, True]


async def test_changes_that_were_pruned_are_gone(ada: Person, app: Litestar) -> None:
    for number in range(5):
        await ada.add(f"post {number}")
    await forget(app, 1, 2)

    for since in (0, 1):
        response = await ada.get(f"/posts/changes?since={since}")
        assert_problem(response, 410)
        assert response.json()["type"] == "urn:problem-type:postline:history-not-kept"
        assert response.json()["version"] == 5
    assert versions(await changes(ada, 2)) == [3, 4, 5]
    await forget(app, 3, 4, 5)
    assert await changes(ada, 5) == {"version": 5, "changes": [], "has_more": False}


@pytest.mark.parametrize("forgotten", [[2], [3]])
async def test_a_gap_in_the_history_is_never_passed_over(ada: Person, app: Litestar, forgotten: list[int]) -> None:
    for number in range(3):
        await ada.add(f"post {number}")
    await forget(app, *forgotten)

    assert_problem(await ada.get("/posts/changes?since=1"), 410)


async def test_a_version_that_never_was_is_gone(ada: Person) -> None:
    await ada.add("hello")

    for condition in ({}, {"if-none-match": '"1"'}):
        response = await ada.get("/posts/changes?since=2", headers=condition)
        assert_problem(response, 410)
        assert response.json()["version"] == 1


async def test_a_client_that_has_the_newest_version_is_told_so_before_anything_is_read(
    ada: Person, app: Litestar
) -> None:
    await ada.add("hello")
    look_up = [] if app.state.service.database.is_sqlite else ["SELECT"]

    with counted(app) as statements:
        for tag in ('"1"', '"0", W/"1"', "*"):
            response = await ada.get("/posts/changes?since=0", headers={"if-none-match": tag})
            assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", '"1"')

    assert statements == look_up * 3
    assert (await ada.get("/posts/changes?since=0", headers={"if-none-match": '"0"'})).status_code == 200
    assert_problem(await ada.get("/posts/changes?since=0", headers={"if-match": '"0"'}), 412)
    assert (await ada.get("/posts/changes?since=0", headers={"if-match": '"1"'})).status_code == 200


async def test_devices_that_ask_for_the_same_changes_share_an_answer_until_the_next_change(ada: Person) -> None:
    await ada.add("hello")

    first, second = [await ada.get("/posts/changes?since=0&limit=7") for _ in range(2)]
    assert (first.headers["cache-status"], second.headers["cache-status"]) == ("postline; fwd=miss", "postline; hit")
    assert first.content == second.content
    # The list has a key of its own.
    assert (await ada.get("/posts?limit=7&since=0")).json()[0]["text"] == "hello"
    await ada.add("again")
    assert versions((await ada.get("/posts/changes?since=0&limit=7")).json()) == [1, 2]


@pytest.mark.parametrize("query", ["", "?limit=3", "?since=", "?since=-1", "?since=1e2", "?since=x", "?since=null"])
async def test_a_place_that_is_no_version_is_refused(ada: Person, query: str) -> None:
    assert_problem(await ada.get(f"/posts/changes{query}"), 400, "since")


@pytest.mark.parametrize("limit", ["0", "1001", "x", "1.0"])
async def test_a_limit_that_is_none_is_refused(ada: Person, limit: str) -> None:
    assert_problem(await ada.get(f"/posts/changes?since=0&limit={limit}"), 400, "limit")


async def test_changes_need_a_token(ada: Person) -> None:
    assert_problem(await ada.client.get("/posts/changes?since=0"), 401)
