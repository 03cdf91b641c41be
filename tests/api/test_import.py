"""Exports, imported again: here, by others, in parts, twice at once, and spoilt."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from httpx import AsyncClient, Response
from litestar import Litestar

from app.application import create_app
from app.service import Policies
from app.services.export_reader import ImportPolicy
from app.settings import Settings
from tests.api.conftest import Fired, serve
from tests.api.people import PASSWORD, Person, assert_problem
from tests.conftest import on_every_database
from tests.factories import TEXTS

pytestmark = on_every_database

NDJSON = {"content-type": "application/x-ndjson"}
POST = {
    "postID": "01a20544-8f6d-7250-9b81-05646f62c3bb",
    "text": "hello",
    "created_at": "2026-01-02T03:04:05.678901Z",
    "updated_at": "2026-01-03T03:04:05.678901Z",
    "version": 3,
}
SMALL_BATCHES = pytest.mark.parametrize(
    "policies", [Policies(imports=ImportPolicy(batch_posts=3))], ids=["three posts a transaction"]
)


async def export_of(person: Person) -> bytes:
    response = await person.get("/me/export")
    assert response.status_code == 200, response.text
    return response.content


async def send(person: Person, content: bytes | AsyncIterator[bytes], **headers: str) -> Response:
    return await person.request("POST", "/me/import", content=content, headers=NDJSON | headers)


async def imported(person: Person, content: bytes | AsyncIterator[bytes]) -> dict[str, int]:
    response = await send(person, content)
    assert response.status_code == 200, response.text
    answer: dict[str, int] = response.json()
    return answer


def lines_of(export: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in export.splitlines()]


def posts_of(export: bytes) -> list[dict[str, Any]]:
    """Return the posts of an export without their ids."""
    return [{name: post[name] for name in post if name != "postID"} for post in lines_of(export) if "postID" in post]


def as_lines(*entries: Any) -> bytes:
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)


def another(number: int, **fields: Any) -> dict[str, Any]:
    return POST | {"postID": f"01a20544-8f6d-7250-9b81-{number:012}", "text": f"post {number}"} | fields


async def write_history(person: Person) -> None:
    """Give the person posts of all sorts, edited and deleted ones among them."""
    ids = [await person.add(text) for text in TEXTS]
    await person.request("PATCH", f"/posts/{ids[2]}", json={"text": "edited"})
    await person.request("DELETE", f"/posts/{ids[4]}")


async def test_an_export_says_what_it_is_of_and_ends_with_a_count_and_a_hash(ada: Person) -> None:
    await write_history(ada)

    export = await export_of(ada)

    first, *_, last = lines_of(export)
    assert (first["format"], first["version"], first["email"]) == ("postline-export-1", len(TEXTS) + 2, ada.email)
    assert abs(datetime.now(UTC) - datetime.fromisoformat(first["exported_at"])) < timedelta(minutes=5)
    before, _, _ = export.rstrip(b"\n").rpartition(b"\n")
    assert last == {"end": {"lines": before.count(b"\n") + 1, "sha256": sha256(before + b"\n").hexdigest()}}


@SMALL_BATCHES
async def test_an_export_that_another_imports_and_exports_differs_in_ids_and_user_only(
    ada: Person, bob: Person, fired: Fired
) -> None:
    await write_history(ada)
    export = await export_of(ada)
    fired.take()

    answer = await imported(bob, export)

    count = len(TEXTS) - 1
    assert answer == {"created": count, "skipped": 0, "version": count}
    assert fired.take() == [("post.created", version) for version in range(1, count + 1)]
    again = await export_of(bob)
    assert posts_of(again) == posts_of(export)
    assert {post["postID"] for post in lines_of(again) if "postID" in post}.isdisjoint(
        post["postID"] for post in lines_of(export) if "postID" in post
    )
    listed = (await bob.get("/posts")).json()
    assert [post["text"] for post in listed] == [post["text"] for post in posts_of(export)][::-1]
    read = await bob.get(f"/posts/{listed[-3]['postID']}")
    assert (read.json()["text"], read.headers["etag"]) == ("edited", '"2"')


async def test_repeating_an_import_adds_nothing(ada: Person, bob: Person, fired: Fired) -> None:
    await write_history(ada)
    export = await export_of(ada)
    first = await imported(bob, export)
    listed = (await bob.get("/posts")).json()
    fired.take()

    assert await imported(bob, export) == {"created": 0, "skipped": first["created"], "version": first["version"]}
    assert (await bob.get("/posts")).json() == listed
    assert fired.take() == []


async def test_ones_own_export_adds_what_was_deleted_since_and_nothing_else(ada: Person) -> None:
    ids = [await ada.add(f"post {number}") for number in range(3)]
    export = await export_of(ada)
    await ada.request("DELETE", f"/posts/{ids[1]}")

    assert await imported(ada, export) == {"created": 1, "skipped": 2, "version": 5}
    assert await imported(ada, export) == {"created": 0, "skipped": 3, "version": 5}
    assert await ada.texts() == ["post 1", "post 2", "post 0"]
    assert (await imported(ada, await export_of(ada)))["created"] == 0


async def test_an_import_is_told_as_any_other_change_also_by_a_clock_that_is_ahead(ada: Person) -> None:
    ahead = (datetime.now(UTC) + timedelta(minutes=4)).isoformat()

    response = await send(ada, as_lines(another(1), another(2, updated_at=ahead)))

    assert (response.json()["version"], response.headers["timeline-version"]) == (2, "2")
    answer = (await ada.get("/posts/changes?since=0")).json()
    assert [(change["version"], change["post"]["text"]) for change in answer["changes"]] == [
        (1, "post 1"),
        (2, "post 2"),
    ]
    assert [change["post"] for change in answer["changes"][::-1]] == (await ada.get("/posts")).json()


async def test_a_post_that_is_there_twice_is_added_once_where_it_was_first(ada: Person) -> None:
    twice = as_lines(another(1), another(2), another(1, text="other"))

    assert await imported(ada, twice) == {"created": 2, "skipped": 1, "version": 2}
    assert await ada.texts() == ["post 2", "post 1"]


async def test_an_account_gets_posts_of_its_own_from_the_same_export(ada: Person, bob: Person) -> None:
    for person in (ada, bob):
        await imported(person, as_lines(another(1), another(2)))

    listed = [(await person.get("/posts")).json() for person in (ada, bob)]
    assert not {post["postID"] for post in listed[0]} & {post["postID"] for post in listed[1]}
    for post in listed[0]:
        assert_problem(await bob.get(f"/posts/{post['postID']}"), 404)


@SMALL_BATCHES
async def test_two_imports_of_one_export_at_once_add_each_post_once(ada: Person) -> None:
    content = as_lines(*map(another, range(20)))

    answers = [await answer for answer in asyncio.as_completed([imported(ada, content) for _ in range(2)])]

    assert sum(answer["created"] for answer in answers) == 20
    assert sum(answer["skipped"] for answer in answers) == 20
    assert await ada.texts() == [f"post {number}" for number in range(20)][::-1]


@SMALL_BATCHES
async def test_what_others_write_goes_on_between_the_transactions(ada: Person, bob: Person) -> None:
    written = list[str]()

    async def slowly() -> AsyncIterator[bytes]:
        for number in range(9):
            yield as_lines(another(number))
            for person in (ada, bob):
                written.append(await person.add(f"meanwhile {number}"))

    answer = await imported(ada, slowly())

    assert answer == {"created": 9, "skipped": 0, "version": 18}
    assert len(await bob.texts()) == 9
    assert len(written) == 18


def spoilt(**fields: Any) -> bytes:
    return as_lines(another(7, **fields))


FUTURE = "2999-12-31T23:59:59Z"
BAD_LINES = {
    "no JSON": b"{",
    "no object": b"[1]\n",
    "not UTF-8": b'{"postID": "\xff"}\n',
    "no line of an export": as_lines({"text": "hello"}),
    "a kind that is no object": as_lines({"session": 1}),
    "no fields": b"{}\n",
    "a deep tower": b'{"postID": ' + b"[" * 100_000 + b"\n",
    "no text": spoilt(text=""),
    "NUL": spoilt(text="\0"),
    "a lone surrogate": spoilt(text="\ud800"),
    "a text that is none": spoilt(text=7),
    "no id": spoilt(postID="7"),
    "no time": spoilt(created_at="yesterday"),
    "a time without a zone": spoilt(created_at="2026-01-02T03:04:05"),
    "edited before it was written": spoilt(updated_at="2026-01-01T00:00:00Z"),
    "of the future": spoilt(created_at=FUTURE, updated_at=FUTURE),
    "edited in the future": spoilt(updated_at=FUTURE),
    "before 1970": spoilt(created_at="1969-12-31T23:59:59Z"),
    "version 0": spoilt(version=0),
    "a version that no database has": spoilt(version=2**63),
    "a missing field": as_lines({"postID": POST["postID"]}),
    "too long": spoilt(text="x" * (1_048_576 + 1024)),
    "too long, and never ending": b"x" * (1_048_576 + 1025),
    "another format": as_lines({"format": "postline-export-2", "user_id": 1}),
    "another export": as_lines({"format": "postline-export-1", "user_id": 1}),
    "an end that is none": as_lines({"end": {"lines": 1}}),
    "an end that counts too much": as_lines({"end": {"lines": 7, "sha256": ""}}),
    "an end of something else": as_lines({"end": {"lines": 4, "sha256": "0" * 64}}),
}


@SMALL_BATCHES
@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES.keys())
async def test_a_bad_line_is_named_and_nothing_of_its_transaction_kept(ada: Person, line: bytes) -> None:
    response = await send(ada, as_lines(*map(another, range(4))) + line)

    assert_problem(response, 400)
    problem = response.json()
    assert problem["type"] == "urn:problem-type:postline:invalid-import"
    assert problem["detail"].startswith("Line 5: ")
    assert (problem["line"], problem["created"], problem["skipped"]) == (5, 3, 0)
    assert "hello" not in problem["detail"]
    assert await ada.texts() == ["post 2", "post 1", "post 0"]


def cut_at_a_line(export: bytes) -> bytes:
    return b"".join(export.splitlines(keepends=True)[:-1])


def cut_in_a_line(export: bytes) -> bytes:
    return export[:-100]


def without_a_line(export: bytes) -> bytes:
    lines = export.splitlines(keepends=True)
    return b"".join([*lines[:3], *lines[4:]])


def with_another_text(export: bytes) -> bytes:
    return export.replace(b"plain", b"plane")


def with_more(export: bytes) -> bytes:
    return export + as_lines(another(1))


def twice(export: bytes) -> bytes:
    return export + export


@pytest.mark.parametrize("spoil", [cut_at_a_line, cut_in_a_line, without_a_line, with_another_text, with_more, twice])
async def test_an_export_that_was_cut_or_changed_is_refused(
    ada: Person, bob: Person, spoil: Callable[[bytes], bytes]
) -> None:
    await write_history(ada)
    export = await export_of(ada)

    assert_problem(await send(bob, spoil(export)), 400)

    assert await bob.texts() == []
    assert (await imported(bob, export))["created"] == len(TEXTS) - 1


async def test_an_export_of_an_earlier_version_is_imported_without_an_end(ada: Person, bob: Person) -> None:
    await write_history(ada)
    first, *others, _ = (await export_of(ada)).splitlines()
    account = {name: value for name, value in json.loads(first).items() if name not in {"format", "version", "at"}}
    earlier = b"\n".join([json.dumps(account).encode(), *others])

    assert (await imported(bob, earlier))["created"] == len(TEXTS) - 1


async def test_what_editors_and_file_transfers_add_does_no_harm(ada: Person, bob: Person) -> None:
    await write_history(ada)
    export = await export_of(ada)

    answer = await imported(bob, b"\xef\xbb\xbf" + export.replace(b"\n", b"\r\n") + b"\r\n")

    assert answer["created"] == len(TEXTS) - 1


async def test_what_is_no_post_is_not_imported_and_unknown_fields_and_kinds_are_ignored(
    ada: Person, bob: Person
) -> None:
    await ada.request("POST", "/webhooks", json={"url": "https://1.1.1.1/hook"})
    content = (await export_of(ada)).splitlines(keepends=True)
    later = as_lines({"album": {"of": "a later version"}}, another(1, likes=[1, 2]))

    assert (await imported(bob, later + b"".join(content[1:-1])))["created"] == 1
    assert (await bob.get("/webhooks")).json() == []
    assert len((await bob.get("/auth/sessions")).json()) == 1


@pytest.mark.parametrize("content", [b"", b"\n\n", as_lines({"session": {}})])
async def test_an_import_without_posts_changes_nothing(ada: Person, content: bytes) -> None:
    await ada.add("hello")

    assert await imported(ada, content) == {"created": 0, "skipped": 0, "version": 1}


async def test_times_are_kept_to_the_microsecond_in_whatever_zone_they_are_given(ada: Person) -> None:
    await imported(ada, as_lines(another(1, created_at="2026-01-02T05:04:05.678901+02:00")))

    (post,) = (await ada.get("/posts")).json()
    assert (post["created_at"], post["updated_at"]) == (POST["created_at"], POST["updated_at"])


async def test_a_line_may_arrive_in_pieces(ada: Person) -> None:
    content = as_lines(*(another(number, text="é" * 10) for number in range(3)))

    async def byte_by_byte() -> AsyncIterator[bytes]:
        for number in range(len(content)):
            yield content[number : number + 1]

    assert (await imported(ada, byte_by_byte()))["created"] == 3


async def test_the_longest_text_that_can_be_posted_can_be_imported(ada: Person, bob: Person) -> None:
    await ada.add("x" * (1_048_576 - len('{"text":""}')))

    assert (await imported(bob, await export_of(ada)))["created"] == 1


@pytest.mark.parametrize("media_type", ["application/x-ndjson", "application/jsonl", "application/x-ndjson; a=b"])
async def test_an_import_may_be_declared_as_any_type_of_json_lines(ada: Person, media_type: str) -> None:
    assert (await send(ada, as_lines(POST), **{"content-type": media_type})).status_code == 200


async def test_an_import_of_another_type_or_coding_is_refused(ada: Person) -> None:
    assert_problem(await send(ada, as_lines(POST), **{"content-type": "application/json"}), 415)
    assert_problem(await send(ada, as_lines(POST), **{"content-encoding": "gzip"}), 415)
    assert await ada.texts() == []


async def test_an_import_needs_a_live_session(client: AsyncClient, ada: Person) -> None:
    assert_problem(await client.post("/me/import", content=as_lines(POST), headers=NDJSON), 401)


@SMALL_BATCHES
async def test_an_import_ends_with_its_session(client: AsyncClient, ada: Person) -> None:
    other = Person(client, ada.email, (await client.post("/auth/login", json=log_in_of(ada))).json())

    async def until_logged_out() -> AsyncIterator[bytes]:
        yield as_lines(*map(another, range(3)))
        await ada.request("POST", "/auth/logout")
        yield as_lines(*map(another, range(3, 9)))

    response = await send(ada, until_logged_out())

    assert_problem(response, 401)
    assert (response.json()["created"], response.json()["skipped"]) == (3, 0)
    assert len(await other.texts()) == 3


def log_in_of(person: Person) -> dict[str, str]:
    return {"email": person.email, "password": PASSWORD}


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_an_import_beyond_the_limit_is_refused(settings: Settings, is_chunked: bool) -> None:
    app = create_app(settings.model_copy(update={"import_max_bytes": 1_048_576}))
    fits = as_lines(POST).ljust(1_048_576)

    async def in_chunks(content: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(content), 65_536):
            yield content[start : start + 65_536]

    async with serve(app) as client:
        ada = await Person.sign_up(client, "ada@example.com")
        for content, status in ((fits, 200), (fits + b"\n", 413)):
            response = await send(ada, in_chunks(content) if is_chunked else content)
            assert response.status_code == status, response.text
        assert_problem(response, 413)
        assert response.json()["detail"] == "The body is larger than 1,048,576 bytes."


async def test_one_account_imports_two_exports_at_a_time(app: Litestar, ada: Person, bob: Person) -> None:
    user_id = (await ada.get("/me")).json()["user_id"]
    imports = app.state.service.imports.imports
    (key,) = await keys_during(app, ada)
    assert str(key) == user_id
    with imports.hold(key), imports.hold(key):
        assert_problem(await send(ada, as_lines(POST)), 429)
        assert (await send(bob, as_lines(POST))).status_code == 200
    assert imports.used == 0


async def keys_during(app: Litestar, person: Person) -> list[object]:
    """Return whose shares of imports are in use while the person imports something."""
    seen = list[object]()

    async def look() -> AsyncIterator[bytes]:
        seen.extend(app.state.service.imports.imports.held)
        yield b""

    await imported(person, look())
    return seen
