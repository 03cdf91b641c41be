"""People who use a service that is being broken, and note what they are told."""

import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Self
from uuid import uuid4

import httpx

from tests.checker.history import History, Read, Write
from tests.e2e.server import Client

_ANSWER_SECONDS = 60
_PATIENCE_SECONDS = 120
_OUTAGES = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE}


class Someone:
    """One person with several devices: one writes and reads, others read, one follows the feed, and one keeps a copy.

    They do so from where the context is entered until they have finished, or it is left.
    """

    def __init__(self, url: str, name: str, seed: int) -> None:
        self.client = Client.sign_up(url, f"{name}@example.com")
        self.user_id = self.client.request("GET", "/me").json()["user_id"]
        self.history = History()
        self._random = random.Random(seed)  # noqa: S311
        self._alive: dict[str, int] = {}
        self._is_over = threading.Event()
        self._is_abandoned = threading.Event()
        self._devices = [threading.Thread(target=device) for device in (self._write, self._read, self._read)]
        self._followers = [threading.Thread(target=device) for device in (self._follow, self._keep_a_copy)]

    def __enter__(self) -> Self:
        for thread in (*self._devices, *self._followers):
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._is_abandoned.set()
        for thread in (*self._devices, *self._followers):
            thread.join()

    def finish(self, patience: float) -> None:
        """Stop writing and reading, take a last look, and give the followers so many seconds to come that far."""
        self._is_over.set()
        for device in self._devices:
            device.join()
        self._until_answered(self._list)
        deadline = time.monotonic() + patience
        for follower in self._followers:
            follower.join(max(deadline - time.monotonic(), 0))
        self._is_abandoned.set()
        for follower in self._followers:
            follower.join()

    def _write(self) -> None:
        number = 0
        while not self._is_over.is_set():
            number += 1
            choice = self._random.random()
            if choice < 0.6 or not self._alive:
                self._create(f"post {number} of {self.client.email}")
            elif choice < 0.8:
                self._update(self._random.choice(list(self._alive)), f"edit {number}")
            else:
                self._delete(self._random.choice(list(self._alive)))
            self._list()

    def _read(self) -> None:
        while not self._is_over.is_set():
            self._list()

    def _create(self, text: str) -> None:
        write = Write("create", time.monotonic())
        self.history.writes.append(write)
        key = {"idempotency-key": uuid4().hex}
        answer = self._until_answered(lambda: self._ask("POST", "/posts", json={"text": text}, headers=key))
        if self._is_expected(answer, HTTPStatus.CREATED):
            write.post_id, write.post_version = answer.json()["postID"], 1
            write.ended = time.monotonic()
            self._alive[write.post_id] = 1

    def _update(self, post_id: str, text: str) -> None:
        write = Write("update", time.monotonic(), post_id)
        self.history.writes.append(write)
        answer = self._until_answered(lambda: self._ask("PATCH", f"/posts/{post_id}", json={"text": text}))
        if self._is_expected(answer, HTTPStatus.OK):
            write.post_version = answer.json()["version"]
            write.ended = time.monotonic()

    def _delete(self, post_id: str) -> None:
        write = Write("delete", time.monotonic(), post_id)
        self.history.writes.append(write)
        del self._alive[post_id]
        answer = self._until_answered(lambda: self._ask("DELETE", f"/posts/{post_id}"))
        # An attempt that was not answered may have been carried out: then there is nothing left to delete.
        if self._is_expected(answer, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND):
            write.ended = time.monotonic()

    def _list(self) -> httpx.Response | None:
        began = time.monotonic()
        answer = self._ask("GET", "/posts")
        if answer is not None and self._is_expected(answer, HTTPStatus.OK):
            posts = [(post["postID"], post["version"]) for post in answer.json()]
            version = int(answer.headers["etag"].strip('"'))
            self.history.reads.append(Read(began, time.monotonic(), version, posts))
        return answer

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response | None:
        """Return the answer, or nothing where there is none or the service says that it can't answer now."""
        began = time.monotonic()
        try:
            answer = self.client.request(method, path, **options)
        except httpx.TransportError:
            time.sleep(0.05)
            return None
        if time.monotonic() - began > _ANSWER_SECONDS:
            self.history.surprises.append(f"{method} took {time.monotonic() - began:.0f} seconds")
        return None if answer.status_code in _OUTAGES else answer

    def _until_answered(self, ask: Callable[[], httpx.Response | None]) -> httpx.Response:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline and not self._is_abandoned.is_set():
            answer = ask()
            if answer is not None:
                return answer
        raise AssertionError("the service does not answer any more")

    def _is_expected(self, answer: httpx.Response, *statuses: HTTPStatus) -> bool:
        if answer.status_code not in statuses:
            self.history.surprises.append(f"{answer.request.method} was answered with {answer.status_code}")
        return answer.status_code in statuses

    def _follow(self) -> None:
        """Follow from the beginning, go on after the last event wherever the feed ends, until nothing is left."""
        while not (self._has_all(self.history.followed[-1:]) or self._is_abandoned.is_set()):
            last = self.history.followed[-1] if self.history.followed else 0
            headers = {
                "authorization": f"Bearer {self.client.tokens['access_token']}",
                "last-event-id": str(last),
            }
            try:
                with httpx.stream("GET", f"{self.client.url}/posts/events", headers=headers, timeout=2) as stream:
                    if stream.status_code in _OUTAGES:
                        continue
                    if stream.status_code != HTTPStatus.OK:
                        self.history.surprises.append(f"the feed was answered with {stream.status_code}")
                        return
                    self._note_events(stream)
            except httpx.TransportError:
                time.sleep(0.05)

    def _note_events(self, stream: httpx.Response) -> None:
        for line in stream.iter_lines():
            if line.startswith("event: reset"):
                self.history.surprises.append("the feed was reset")
            if line.startswith("data: "):
                data = json.loads(line.removeprefix("data: "))
                self.history.followed.append(data["version"])

    def _keep_a_copy(self) -> None:
        """Ask for the changes since the last answer, a few at a time, until nothing is left."""
        copy = self.history.copy
        while not (self._has_all([self.history.copied_to]) or self._is_abandoned.is_set()):
            answer = self._ask("GET", f"/posts/changes?since={self.history.copied_to}&limit=3")
            if answer is None or not self._is_expected(answer, HTTPStatus.OK):
                continue
            page = answer.json()
            for change in page["changes"]:
                copy.pop(change["postID"], None)
                if change["post"] is not None:
                    copy[change["postID"]] = change["post"]["version"]
            self.history.copied_to = page["version"]
            if not page["has_more"]:
                time.sleep(0.02)

    def _has_all(self, reached: Sequence[int]) -> bool:
        is_final = self._is_over.is_set() and not any(device.is_alive() for device in self._devices)
        return is_final and bool(reached) and reached[-1] >= self.history.final.version
