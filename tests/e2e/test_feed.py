"""The live feed of started servers: followed through one connection while others write, stop and die."""

import json
import threading
import time
from pathlib import Path
from queue import Queue
from typing import Any

import httpx

from tests.e2e.server import Client, Server, free_port, serving

PASSWORD = "correct horse battery"


class Follower:
    """Reads a person's feed in a thread of its own, event by event, until it ends."""

    def __init__(self, person: Client, after: int | None = None) -> None:
        self.person = person
        self.after = after
        self.seen: Queue[dict[str, Any]] = Queue()
        self.opened = threading.Event()
        self.ended = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        assert self.opened.wait(20)

    def _read(self) -> None:
        headers = {"authorization": f"Bearer {self.person.tokens['access_token']}"}
        if self.after is not None:
            headers["last-event-id"] = str(self.after)
        event: dict[str, Any] = {}
        try:
            with httpx.stream(
                "GET", f"{self.person.url}/posts/events", headers=headers, timeout=httpx.Timeout(30)
            ) as stream:
                assert stream.status_code == 200
                assert stream.headers["content-type"].startswith("text/event-stream")
                for line in stream.iter_lines():
                    self.opened.set()
                    name, _, value = line.partition(": ")
                    if name in {"id", "event", "data"}:
                        event[name] = value
                    elif not line and event:
                        self.seen.put(event)
                        event = {}
        except httpx.TransportError:
            pass
        self.ended.set()

    def take(self, count: int) -> list[int]:
        taken = [self.seen.get(timeout=20) for _ in range(count)]
        for event in taken:
            data = json.loads(event["data"])
            assert set(data) == {"postID", "version", "occurred_at", "type"}
            assert data["version"] == int(event["id"])
        return [int(event["id"]) for event in taken]


def test_what_is_written_through_any_process_is_followed_through_one(server: Server) -> None:
    person = Client.sign_up(server.url, "followed@example.com")
    follower = Follower(person)

    for number in range(20):
        person.add(f"post {number}")

    assert follower.take(20) == list(range(1, 21))
    assert follower.seen.empty()


def test_a_feed_goes_on_from_the_list_it_was_read_with(server: Server) -> None:
    person = Client.sign_up(server.url, "continued@example.com")
    for number in range(3):
        person.add(f"post {number}")
    read_at = int(person.request("GET", "/posts").headers["etag"].strip('"'))
    person.add("after the list")

    assert Follower(person, after=read_at).take(1) == [4]
    assert Follower(person, after=1).take(3) == [2, 3, 4]


def test_the_feed_of_a_revoked_session_ends_within_a_second(server: Server) -> None:
    person = Client.sign_up(server.url, "unfollowed@example.com")
    login = httpx.post(f"{server.url}/auth/login", json={"email": person.email, "password": PASSWORD})
    phone = Client(server.url, person.email, login.json())
    follower = Follower(phone)
    (target,) = [one["id"] for one in phone.request("GET", "/auth/sessions").json() if one["is_current"]]

    assert person.request("DELETE", f"/auth/sessions/{target}").status_code == 204

    assert follower.ended.wait(1)


def test_a_stopping_process_ends_its_feeds_and_leaves(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        person = Client.sign_up(server.url, "stopped@example.com")
        followers = [Follower(person) for _ in range(3)]
        began = time.monotonic()

        server.process.terminate()

        assert all(follower.ended.wait(5) for follower in followers)
        server.process.wait(5)
        assert time.monotonic() - began < 5


def test_a_follower_that_reconnects_after_a_kill_misses_nothing(tmp_path: Path) -> None:
    port, seen = free_port(), list[int]()
    with serving(tmp_path, port=port) as server:
        person = Client.sign_up(server.url, "resilient@example.com")
        follower = Follower(person)
        for number in range(10):
            person.add(f"post {number}")
        seen += follower.take(4)
        server.kill()
        assert follower.ended.wait(5)

    with serving(tmp_path, port=port):
        person.add("after the kill")
        follower = Follower(person, after=seen[-1])
        seen += follower.take(7)

    assert seen == list(range(1, 12))
