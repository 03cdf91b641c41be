"""An account with two phones and another device, and a model of what may become of what is written on them."""

import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from events.types import decode
from tests.e2e.server import Client, Server
from tests.e2e.sync_phone import PATIENCE_SECONDS, Phone, compiled, phone_of

_ACTS = ["add", "edit", "edit", "delete", "crash", "other adds", "other edits", "other edits", "other deletes"]
_TYPES = {"POST": "post.created", "PATCH": "post.updated", "DELETE": "post.deleted"}


class Stage:
    """The service, which can be killed, its database, and the compiled client."""

    def __init__(self, folder: Path, client_folder: Path, port: int) -> None:
        self.database = folder / "postline.db"
        self.port = port
        self._folder = folder
        self._server = self._started()
        self.url = self._server.url
        self.program = compiled(self.url, client_folder)

    def _started(self) -> Server:
        settings = {"DATABASE_URL": f"sqlite:///{self.database}", "PRUNE_SECONDS": "1"}
        return Server(self._folder, self.port, 1, settings, "app.application:create_app").wait_until_ready()

    def kill_and_restart(self) -> None:
        self._server.kill()
        self._server.stop()
        self._server = self._started()

    def stop(self) -> None:
        self._server.stop()


class Account:
    """What the other device does, and all that it was told."""

    def __init__(self, stage: Stage, email: str, seed: int) -> None:
        self.person = Client.sign_up(stage.url, email)
        self.random = random.Random(seed)  # noqa: S311
        # Lines that were written, and lines that were in a post when it was deleted.
        self.written, self.deleted = set[str](), set[str]()
        self.told = list[str]()
        self._user_id = UUID(self.person.request("GET", "/me").json()["user_id"]).bytes
        self._database = stage.database
        self._pruned = list[str]()

    def line(self) -> str:
        """Return a line of text that is nowhere yet."""
        return f"{self.random.getrandbits(64):016x}"

    def posts(self) -> tuple[int, dict[str, dict[str, Any]]]:
        response = self.person.request("GET", "/posts")
        assert response.status_code == 200, response.text
        return int(response.headers["etag"].strip('"')), {post["postID"]: post for post in response.json()}

    def add(self) -> str:
        line = self.line()
        post_id = self.person.add(line)
        self.written.add(line)
        self.told.append(f"post.created {post_id}")
        return post_id

    def edit(self, post: dict[str, Any]) -> None:
        """Edit a post on the other device, unless it has changed since it was read."""
        line = self.line()
        if self._change("PATCH", post, json={"text": f"{post['text']}\n{line}"}):
            self.written.add(line)

    def delete(self, post: dict[str, Any]) -> None:
        """Delete a post on the other device, unless it has changed since it was read."""
        if self._change("DELETE", post):
            self.deleted.update(post["text"].split("\n"))

    def _change(self, method: str, post: dict[str, Any], **options: Any) -> bool:
        condition = {"if-match": f'"{post["version"]}"'}
        response = self.person.request(method, f"/posts/{post['postID']}", headers=condition, **options)
        if response.status_code in {404, 412}:
            return False
        assert response.is_success, response.text
        self.told.append(f"{_TYPES[method]} {post['postID']}")
        return True

    def prune(self) -> None:
        """Let the service prune the history up to now, as if it were 30 days later."""
        with closing(sqlite3.connect(self._database, timeout=30, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            self._pruned += self._stored(database)
            database.execute("UPDATE events SET occurred_at = '2001-01-01' WHERE user_id = ?", (self._user_id,))
            database.execute("COMMIT")
            # A bare year would be compared as a number, which every text is greater than.
            aged = "SELECT count(*) FROM events WHERE user_id = ? AND occurred_at < '2002-01-01'"
            deadline = time.monotonic() + PATIENCE_SECONDS
            while database.execute(aged, (self._user_id,)).fetchone() != (0,):
                assert time.monotonic() < deadline, "the history is not pruned"
                time.sleep(0.05)

    def history(self) -> list[str]:
        """Return all that ever happened to the posts, what is pruned included."""
        with closing(sqlite3.connect(self._database, timeout=30)) as database:
            return self._pruned + self._stored(database)

    def _stored(self, database: sqlite3.Connection) -> list[str]:
        rows = database.execute("SELECT payload FROM events WHERE user_id = ? ORDER BY version", (self._user_id,))
        return [f"{event.type} {event.post_id}" for event in (decode(payload) for (payload,) in rows)]


class Devices:
    """The phones, on connections that break, and the other device."""

    def __init__(self, account: Account, phones: list[Phone], policy: str) -> None:
        self.account = account
        self.phones = phones
        self.acts = list[str]()
        self._policy = policy

    def change(self, phone: Phone, text: str | None, of: dict[str, Any] | None = None) -> None:
        """Write a text on a phone, whose last line is new, or delete a post."""
        change = phone.tell("change", text=text, **({"of": of} if of else {}))
        if not change["isStored"]:
            return
        if text is not None:
            self.account.written.add(text.split("\n")[-1])
        elif of:
            phone.deletions[change["key"]] = of["text"]

    def act(self) -> None:
        """Do something on one of the devices."""
        account, choice = self.account, self.account.random
        phone = choice.choice(self.phones)
        shown = phone.shown()
        _, posts = account.posts()
        listed = sorted(posts.values(), key=lambda post: post["text"])
        act = choice.choice(_ACTS)
        self.acts.append(f"{act} (phone {self.phones.index(phone)})")
        match act:
            case "edit" if shown:
                post = choice.choice(shown)
                self.change(phone, f"{post['text']}\n{account.line()}", post)
            case "delete" if shown:
                self.change(phone, None, choice.choice(shown))
            case "crash":
                phone.tell("crash", saves=choice.randrange(6), isStored=choice.random() < 0.5)
            case "other edits" if listed:
                account.edit(choice.choice(listed))
            case "other deletes" if listed:
                account.delete(choice.choice(listed))
            case "other adds":
                account.add()
            case _:
                self.change(phone, account.line())

    def assert_agree(self, *, gone: int = 0) -> list[dict[str, int]]:
        """Go online, wait until no phone has anything to send or fetch, and compare; return what each has seen."""
        self.acts.append("all go online")
        states = list[dict[str, Any]]()
        for phone in self.phones:
            phone.go_online()
        # Once until all is sent, and then until all have fetched what the others sent.
        for _ in range(2):
            version, _ = self.account.posts()
            states = [phone.tell("settle", version=version, gone=gone) for phone in self.phones]
        version, posts = self.account.posts()

        assert [(state["version"], state["posts"]) for state in states] == [(version, posts)] * len(states)
        assert [state["contradictions"] for state in states] == [[]] * len(states)
        self._assert_each_write_happened_once(version, posts, states)
        self._assert_no_line_is_lost(posts, states)
        return [state["seen"] for state in states]

    def _assert_each_write_happened_once(
        self, version: int, posts: dict[str, dict[str, Any]], states: list[dict[str, Any]]
    ) -> None:
        by_phones = [_event_of(write) for state in states for write in state["acknowledged"].values()]
        history = self.account.history()
        assert Counter(history) == Counter(self.account.told + by_phones)
        assert version == len(history)
        edits = Counter(event.split()[1] for event in history if event.startswith("post.updated"))
        assert {post_id: post["version"] for post_id, post in posts.items()} == {
            post_id: 1 + edits[post_id] for post_id in posts
        }

    def _assert_no_line_is_lost(self, posts: dict[str, dict[str, Any]], states: list[dict[str, Any]]) -> None:
        """A line that was written is there, unless its post was deleted or the policy says whose it is."""
        refused = {line for state in states for write in state["refused"] for line in (write["text"] or "").split("\n")}
        assert self._policy == "theirs" or not refused
        done = [
            text
            for phone, state in zip(self.phones, states, strict=True)
            for key, text in phone.deletions.items()
            if key in state["acknowledged"]
        ]
        deleted = self.account.deleted.union(*(text.split("\n") for text in done))
        lines = {line for post in posts.values() for line in post["text"].split("\n")}
        assert lines <= self.account.written
        if self._policy != "mine":
            assert self.account.written - deleted - refused <= lines


def _event_of(write: str) -> str:
    method, post_id = write.split()
    return f"{_TYPES[method]} {post_id}"


@contextmanager
def devices_of(
    stage: Stage, seed: int, *, phones: int = 1, policy: str = "both", timeout_ms: int = 10_000
) -> Iterator[Devices]:
    """Start phones of a new account, offline; a failure tells what was done and what the phones saw."""
    account = Account(stage, f"seed-{seed}-{policy}@example.com", seed)
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                phone_of(account.person, stage.program, stage.port, seed * 10 + n, policy=policy, timeout_ms=timeout_ms)
            )
            for n in range(phones)
        ]
        devices = Devices(account, started, policy)
        try:
            yield devices
        except AssertionError as error:
            error.add_note(f"seed {seed}, policy {policy}: {', '.join(devices.acts)}")
            for n, phone in enumerate(started):
                error.add_note(f"phone {n}:\n{phone.trace()}")
            raise
