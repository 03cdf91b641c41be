"""Where a feed may be asked to go on, and what it looks like on the wire."""

import asyncio
import json
from typing import Any

import pytest
from httpx import AsyncClient
from litestar import Litestar

from tests.api.people import Person, assert_problem
from tests.conftest import on_every_database

pytestmark = on_every_database


class Feed:
    """A feed that is read until enough has come. The tests' HTTP client waits for the end, which a feed has not."""

    def __init__(self, app: Litestar, person: Person) -> None:
        self._app = app
        self._person = person
        self._received = b""
        self._arrived = asyncio.Condition()

    async def arrival_of(self, expected: bytes) -> None:
        async with asyncio.timeout(10), self._arrived:
            await self._arrived.wait_for(lambda: expected in self._received)

    async def read(self, *headers: tuple[str, str], until: bytes, query: str = "") -> bytes:
        """Return the first bytes of the feed, up to and with these."""
        over = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await over.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                assert message["status"] == 200
            async with self._arrived:
                self._received += message.get("body", b"")
                self._arrived.notify_all()
            if until in self._received:
                # The feed ends by itself, not in the middle of a question to the database.
                self._app.state.service.wakeups.stop()
            if message["type"] == "http.response.body" and not message["more_body"]:
                over.set()

        sent = [("authorization", f"Bearer {self._person.tokens['access_token']}"), ("host", "x"), *headers]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/posts/events",
            "raw_path": b"/posts/events",
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent],
            "client": None,
            "server": None,
            "state": {},
        }
        async with asyncio.timeout(10):
            await self._app(scope, receive, send)  # type: ignore[arg-type]
        return self._received


@pytest.fixture
def feed(app: Litestar, ada: Person) -> Feed:
    return Feed(app, ada)


@pytest.mark.parametrize("number", ["", "-1", "1e2", "1.0", "null", "9223372036854775808", "x"])
async def test_a_place_in_the_query_that_is_no_version_is_refused(ada: Person, number: str) -> None:
    assert_problem(await ada.get("/posts/events", params={"after": number}), 400, "after")


@pytest.mark.parametrize(
    "event_id",
    ["", "undefined", "null", "x", "-1", "1e0", "1.0", "+1", "01", "\xb2", "1, 1", "9" * 19, "9" * 5000, "99"],
)
async def test_an_event_id_that_never_was_resets_the_follower(ada: Person, feed: Feed, event_id: str) -> None:
    await ada.add("one")
    await ada.add("two")

    received = await feed.read(("last-event-id", event_id), until=b"\n\n")

    assert received == b':\nid: 2\nevent: reset\ndata: {"version":2}\n\n'


async def test_after_a_reset_the_feed_goes_on(ada: Person, feed: Feed) -> None:
    await ada.add("one")
    reading = asyncio.create_task(feed.read(("last-event-id", ""), until=b"post.created"))
    await feed.arrival_of(b"event: reset")
    await ada.add("two")

    received = await reading

    assert received.index(b"event: reset") < received.index(b"id: 2\nevent: post.created")


@pytest.mark.parametrize("event_id", ["0", "1"])
async def test_a_follower_goes_on_after_its_event_whatever_its_query_says(
    ada: Person, feed: Feed, event_id: str
) -> None:
    await ada.add("one")
    await ada.add("two")

    received = await feed.read(("last-event-id", event_id), query="after=2", until=b"id: 2")

    assert received.count(b"event: post.created") == 2 - int(event_id)


async def test_a_heartbeat_is_a_comment_that_ends_no_message(ada: Person, feed: Feed) -> None:
    await ada.add("one")

    received = await feed.read(query="after=0", until=b"\n\n")

    beat, rest = received[:2], received[2:]
    assert beat == b":\n"
    assert rest.startswith(b"id: 1\nevent: post.created\ndata: ")
    # As @microsoft/fetch-event-source does, and the standard does not: each empty line ends a message.
    messages = [block for block in received.decode().split("\n\n") if block]
    (data,) = [line.removeprefix("data: ") for line in messages[0].splitlines() if line.startswith("data: ")]
    assert json.loads(data)["version"] == 1


async def test_the_document_still_calls_the_event_id_a_number(client: AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    parameters = {each["name"]: each for each in document["paths"]["/posts/events"]["get"]["parameters"]}
    assert parameters["Last-Event-ID"]["schema"]["type"] == "integer"
    assert parameters["Last-Event-ID"]["schema"]["minimum"] == 0
