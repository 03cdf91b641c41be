"""Personal tokens on several processes at once: revoked in a loop, following a feed, used and remembered."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.e2e.server import Client, Server, serving
from tests.e2e.test_feed import Follower

ON_EVERY_WORKER = 24
SCOPES = ["posts:read", "posts:write"]


class Script(Client):
    """What sends a person's personal token."""

    id: str

    @classmethod
    def of(cls, person: Client, **more: Any) -> "Script":
        body = {"name": "a script", "scopes": SCOPES} | more
        response = person.request("POST", "/me/tokens", json=body)
        assert response.status_code == 201, response.text
        script = cls(person.url, person.email, {"access_token": response.json()["token"]})
        script.id = response.json()["id"]
        return script

    def statuses(self) -> set[int]:
        return {self.request("GET", "/posts").status_code for _ in range(ON_EVERY_WORKER)}


def test_a_token_works_on_every_worker_at_once_and_its_scope_holds_on_every_one(server: Server) -> None:
    person = Client.sign_up(server.url, "issuer@example.com")

    reader = Script.of(person, scopes=["posts:read"])

    assert reader.statuses() == {200}
    answers = [reader.request("POST", "/posts", json={"text": "hello"}) for _ in range(ON_EVERY_WORKER)]
    assert {answer.status_code for answer in answers} == {403}
    assert {answer.headers["www-authenticate"] for answer in answers} == {
        'Bearer error="insufficient_scope", scope="posts:write"'
    }
    assert person.list() == []


def test_a_token_that_is_revoked_in_a_loop_is_refused_from_the_next_request_on(server: Server) -> None:
    person = Client.sign_up(server.url, "looper@example.com")
    script, other = Script.of(person), Script.of(person)
    is_revoked, seen, enough = threading.Event(), list[tuple[bool, int]](), threading.Event()

    def loop() -> None:
        while not enough.is_set():
            was_revoked = is_revoked.is_set()
            seen.append((was_revoked, script.request("GET", "/posts").status_code))

    looping = threading.Thread(target=loop)
    looping.start()
    try:
        while len(seen) < ON_EVERY_WORKER:
            assert looping.is_alive()
        assert person.request("DELETE", f"/me/tokens/{script.id}").status_code == 204
        is_revoked.set()
        assert script.statuses() == {401}
    finally:
        enough.set()
        looping.join()

    assert {status for was_revoked, status in seen if was_revoked} <= {401}
    assert (False, 200) in seen
    assert other.statuses() == {200}


def test_a_feed_ends_when_its_token_is_revoked(server: Server) -> None:
    person = Client.sign_up(server.url, "revoked-follower@example.com")
    script = Script.of(person)
    follower = Follower(script)
    person.add("hello")
    assert follower.take(1) == [1]

    assert person.request("DELETE", f"/me/tokens/{script.id}").status_code == 204

    assert follower.ended.wait(30)


def test_a_feed_ends_when_its_token_expires(server: Server) -> None:
    person = Client.sign_up(server.url, "expired-follower@example.com")
    script = Script.of(person, expires_at=(datetime.now(UTC) + timedelta(seconds=10)).isoformat())

    follower = Follower(script)

    assert follower.ended.wait(60)
    assert script.request("GET", "/posts").status_code == 401


def test_the_last_use_outlives_the_processes_and_no_process_logs_a_token(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    workers = 3 if "DATABASE_URL" in settings else 1
    with serving(tmp_path, workers=workers, settings=settings) as server:
        person = Client.sign_up(server.url, "user@example.com")
        used, unused = Script.of(person, name="used"), Script.of(person, name="unused")
        begun = datetime.now(UTC)
        assert used.statuses() == {200}
        assert person.request("DELETE", f"/me/tokens/{unused.id}").status_code == 204
        assert unused.statuses() == {401}
        assert "postline_pat_" not in server.output()

    with serving(tmp_path, workers=workers, settings=settings) as server:
        (token,) = person.at(server.url).request("GET", "/me/tokens").json()
        assert begun <= datetime.fromisoformat(token["last_used_at"]) <= datetime.now(UTC)
        assert used.at(server.url).request("GET", "/posts").status_code == 200
