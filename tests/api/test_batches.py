"""Several operations at once: all of them or none, each one version and one event."""

from typing import Any

import pytest
from httpx import Response
from litestar import Litestar
from uuid_utils.compat import uuid7

from tests.api.conftest import Fired
from tests.api.people import Person, assert_problem
from tests.api.test_query_counts import counted
from tests.conftest import on_every_database

pytestmark = on_every_database

HELLO = {"op": "create", "text": "hello"}


async def apply(person: Person, *operations: Any, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await person.request("POST", "/posts/batch", json={"operations": operations}, headers=named)


def update(post_id: str, text: str, **if_version: int) -> dict[str, Any]:
    return {"op": "update", "postID": post_id, "text": text} | if_version


def delete(post_id: str, **if_version: int) -> dict[str, Any]:
    return {"op": "delete", "postID": post_id} | if_version


async def state(person: Person) -> tuple[str, list[str]]:
    response = await person.get("/posts")
    return response.headers["etag"], [post["text"] for post in response.json()]


def assert_names(response: Response, status: int, index: int) -> None:
    assert_problem(response, status, f"operations[{index}]")


async def test_operations_are_carried_out_in_order_with_a_version_and_an_event_each(ada: Person, fired: Fired) -> None:
    kept, gone = await ada.add("kept"), await ada.add("gone")
    fired.take()

    response = await apply(
        ada, HELLO, update(kept, "edited"), delete(gone), update(kept, "again"), {"op": "create", "text": "last"}
    )

    assert response.status_code == 200
    added, first_edit, deleted, second_edit, last = response.json()["results"]
    assert response.json()["version"] == 7
    assert response.headers["timeline-version"] == "7"
    assert (first_edit, second_edit) == ({"postID": kept, "version": 2}, {"postID": kept, "version": 3})
    assert deleted == {"postID": gone, "version": None}
    assert (added["version"], last["version"]) == (1, 1)
    kinds = ["post.created", "post.updated", "post.deleted", "post.updated", "post.created"]
    assert fired.take() == list(zip(kinds, range(3, 8), strict=True))
    posts = (await ada.get("/posts")).json()
    assert [(post["postID"], post["text"]) for post in posts] == [
        (last["postID"], "last"),
        (added["postID"], "hello"),
        (kept, "again"),
    ]


async def test_its_changes_are_told_as_any_others(ada: Person) -> None:
    kept, gone = await ada.add("kept"), await ada.add("gone")
    response = await apply(ada, update(kept, "edited"), update(gone, "edited"), delete(gone), update(kept, "again"))

    answer = (await ada.get("/posts/changes?since=2")).json()

    assert response.json()["version"] == answer["version"] == 6
    assert [(change["version"], change["postID"]) for change in answer["changes"]] == [(5, gone), (6, kept)]
    assert answer["changes"][1]["post"]["text"] == "again"


async def test_a_hundred_are_taken_and_one_more_is_not(ada: Person) -> None:
    assert (await apply(ada, *[HELLO] * 100)).json()["version"] == 100
    assert_problem(await apply(ada, *[HELLO] * 101), 400, "operations")
    assert_problem(await apply(ada), 400, "operations")
    assert_problem(await apply(ada, *[HELLO] * 1000), 400)
    assert (await state(ada))[0] == '"100"'


async def test_the_whole_body_may_be_text(ada: Person) -> None:
    full = [{"op": "create", "text": f"{number:02}" + 'x"\n' * 2000} for number in range(100)]

    assert (await apply(ada, *full)).status_code == 200
    assert [text[:2] for text in (await state(ada))[1]] == [f"{number:02}" for number in reversed(range(100))]
    assert_problem(await apply(ada, *[{"op": "create", "text": "x" * 11_000}] * 100), 413)


@pytest.mark.parametrize("index", [0, 1, 2])
async def test_a_post_that_is_missing_undoes_all(ada: Person, bob: Person, fired: Fired, index: int) -> None:
    mine, theirs = await ada.add("mine"), await bob.add("theirs")
    fired.take()

    for missing in (str(uuid7()), theirs):
        for operation in (update(missing, "x"), delete(missing)):
            operations: list[Any] = [HELLO, update(mine, "edited")]
            operations.insert(index, operation)
            assert_names(await apply(ada, *operations), 404, index)

    assert (await state(ada), await state(bob), fired.take()) == (('"1"', ["mine"]), ('"1"', ["theirs"]), [])


async def test_a_post_that_the_batch_has_deleted_is_missing(ada: Person) -> None:
    post_id = await ada.add("hello")

    assert_names(await apply(ada, delete(post_id), update(post_id, "x")), 404, 1)
    assert_names(await apply(ada, HELLO, delete(post_id), delete(post_id)), 404, 2)
    assert await state(ada) == ('"1"', ["hello"])


async def test_only_an_expected_version_of_a_post_is_changed(ada: Person, fired: Fired) -> None:
    post_id = await ada.add("hello")
    fired.take()

    assert_names(await apply(ada, HELLO, update(post_id, "x", if_version=2)), 412, 1)
    assert_names(await apply(ada, update(post_id, "x", if_version=1), delete(post_id, if_version=1)), 412, 1)
    assert fired.take() == []
    assert (await apply(ada, update(post_id, "x", if_version=1), delete(post_id, if_version=2))).status_code == 200


async def test_only_an_expected_version_of_the_timeline_is_changed(ada: Person, fired: Fired) -> None:
    await ada.add("hello")
    fired.take()

    for headers in ({"if_match": '"0"'}, {"if_match": '"3"'}, {"if_none_match": '"1"'}, {"if_none_match": "*"}):
        assert_problem(await apply(ada, HELLO, HELLO, **headers), 412)
    assert fired.take() == []
    assert (await apply(ada, HELLO, HELLO, if_match='"1"')).json()["version"] == 3


@pytest.mark.parametrize(
    ("operation", "field"),
    [
        ({"op": "create", "text": ""}, "operations[1].text"),
        ({"op": "create"}, "operations[1].text"),
        ({"op": "create", "text": "a\x00"}, "operations[1].text"),
        ({"op": "create", "text": "a", "if_version": 1}, "operations[1].if_version"),
        ({"op": "update", "postID": "x", "text": "a"}, "operations[1].postID"),
        ({"op": "delete"}, "operations[1].postID"),
        ({"op": "delete", "postID": str(uuid7()), "if_version": 0}, "operations[1].if_version"),
        ({"op": "my secret"}, "operations[1]"),
        ({"text": "a"}, "operations[1]"),
        ("create", "operations[1]"),
        (None, "operations[1]"),
    ],
)
async def test_an_operation_that_is_invalid_is_named(ada: Person, fired: Fired, operation: Any, field: str) -> None:
    response = await apply(ada, HELLO, operation)

    assert_problem(response, 400, field)
    assert "secret" not in response.text
    assert fired.take() == []


@pytest.mark.parametrize("body", [{}, {"operations": None}, {"operations": "x"}, {"operations": {}}])
async def test_a_body_without_operations_is_refused(ada: Person, body: dict[str, Any]) -> None:
    assert_problem(await ada.request("POST", "/posts/batch", json=body), 400, "operations")


async def test_a_retry_with_its_key_is_answered_the_same_and_changes_nothing(ada: Person, fired: Fired) -> None:
    post_id = await ada.add("hello")
    operations = [HELLO, delete(post_id)]
    first = await apply(ada, *operations, idempotency_key="k", if_match='"1"')
    fired.take()
    await ada.add("later")

    again = await apply(ada, *operations, idempotency_key="k", if_match='"1"')

    assert (again.status_code, again.content) == (200, first.content)
    assert (again.headers["timeline-version"], again.headers["idempotency-replayed"]) == ("3", "true")
    assert fired.take() == [("post.created", 4)]
    assert_problem(await apply(ada, *operations[::-1], idempotency_key="k"), 422)


async def test_a_batch_that_failed_leaves_no_key(ada: Person) -> None:
    assert_names(await apply(ada, delete(str(uuid7())), idempotency_key="k"), 404, 0)
    assert "idempotency-replayed" not in (await apply(ada, HELLO, idempotency_key="k")).headers


async def test_a_batch_costs_as_many_statements_as_one_of_each_kind(ada: Person, app: Litestar) -> None:
    ids = [await ada.add(f"post {number}") for number in range(4)]
    look_up, begin = ([], ["BEGIN"]) if app.state.service.database.is_sqlite else (["SELECT"], [])

    with counted(app) as statements:
        await apply(ada, HELLO, HELLO, *(update(each, "x") for each in ids[:2]), *map(delete, ids[2:]))

    # The version, the posts that are found, what becomes of them, their events, and what the user keeps.
    wanted = ["UPDATE", "SELECT", "INSERT", "UPDATE", "DELETE", "INSERT", "UPDATE"]
    assert sorted(statements) == sorted([*look_up, *begin, *wanted])


async def test_a_batch_needs_a_token(ada: Person) -> None:
    assert_problem(await ada.client.post("/posts/batch", json={"operations": [HELLO]}), 401)
