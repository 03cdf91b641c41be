"""Random operations of two people, against a plain model of what the service should hold."""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from httpx import Response
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from app.application import create_app
from events.types import PostEvent
from tests.api.conftest import serve
from tests.api.people import Person
from tests.conftest import IN_MEMORY, settings_for, sqlite_url

ResultT = TypeVar("ResultT")

people = st.sampled_from(["ada", "bob"])
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=40)
choices = st.integers(0, 1_000_000)


@dataclass
class Timeline:
    """What one person should have: their posts as (id, text, version), oldest first, and their events."""

    person: Person
    posts: list[tuple[str, str, int]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    tag: str | None = None
    copy: dict[str, tuple[str, int]] = field(default_factory=dict)
    synchronised: int = 0

    @property
    def version(self) -> int:
        return len(self.events)


class TwoPeople(RuleBasedStateMachine):
    template: Path | None
    """The migrated file that each run begins with a copy of; without one, the database is in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.folder = Path(tempfile.mkdtemp())
        self.fired: list[PostEvent] = []
        self.timelines: dict[str, Timeline] = {}

    def run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        return self.runner.run(work)

    @initialize()
    def start(self) -> None:
        async def open_app() -> None:
            url = IN_MEMORY
            if self.template is not None:
                url = sqlite_url(Path(shutil.copy(self.template, self.folder / "test.db")))
            app = create_app(settings_for(url, self.folder))

            async def hear(event: PostEvent) -> None:
                self.fired.append(event)

            app.state.service.bus.subscribe(PostEvent, hear)
            client = await self.stack.enter_async_context(serve(app))
            for name in ("ada", "bob"):
                self.timelines[name] = Timeline(await Person.sign_up(client, f"{name}@example.com"))

        self.run(open_app())

    def teardown(self) -> None:
        self.run(self.stack.aclose())
        self.runner.close()
        shutil.rmtree(self.folder)

    def changed(self, timeline: Timeline, kind: str) -> None:
        timeline.events.append(kind)
        assert (self.fired[-1].type, self.fired[-1].version) == (kind, timeline.version)

    def changed_together(self, timeline: Timeline, kinds: list[str]) -> None:
        versions = range(timeline.version + 1, timeline.version + len(kinds) + 1)
        timeline.events += kinds
        fired = [(event.type, event.version) for event in self.fired[-len(kinds) :]]
        assert fired == list(zip(kinds, versions, strict=True))

    def ask(self, timeline: Timeline, method: str, path: str, **options: Any) -> Response:
        return self.run(timeline.person.request(method, path, **options))

    @rule(name=people, text=texts)
    def add(self, name: str, text: str) -> None:
        timeline = self.timelines[name]
        response = self.ask(timeline, "POST", "/posts", json={"text": text})
        assert response.status_code == 201
        timeline.posts.append((response.json()["postID"], text, 1))
        self.changed(timeline, "post.created")

    @rule(name=people, choice=choices, text=texts, is_current=st.booleans())
    def edit(self, name: str, choice: int, text: str, is_current: bool) -> None:
        timeline = self.timelines[name]
        if not timeline.posts:
            return
        index = choice % len(timeline.posts)
        post_id, _, version = timeline.posts[index]
        tag = f'"{version if is_current else version + 1}"'
        response = self.ask(timeline, "PATCH", f"/posts/{post_id}", json={"text": text}, headers={"if-match": tag})
        if is_current:
            assert (response.status_code, response.headers["etag"]) == (200, f'"{version + 1}"')
            timeline.posts[index] = (post_id, text, version + 1)
            self.changed(timeline, "post.updated")
        else:
            assert response.status_code == 412

    @rule(name=people, choice=choices)
    def delete(self, name: str, choice: int) -> None:
        timeline = self.timelines[name]
        if not timeline.posts:
            return
        post_id, _, _ = timeline.posts.pop(choice % len(timeline.posts))
        assert self.ask(timeline, "DELETE", f"/posts/{post_id}").status_code == 204
        self.changed(timeline, "post.deleted")

    @rule(
        name=people,
        steps=st.lists(st.tuples(st.sampled_from(["create", "update", "delete"]), choices, texts), min_size=1),
        is_doomed=st.booleans(),
    )
    def change_together(self, name: str, steps: list[tuple[str, int, str]], is_doomed: bool) -> None:
        timeline = self.timelines[name]
        # What is added has no id yet, so only the posts from before can be changed.
        posts, operations = list(timeline.posts), list[dict[str, Any]]()
        for op, choice, text in steps:
            if op == "create" or not posts:
                operations.append({"op": "create", "text": text})
                continue
            index = choice % len(posts)
            post_id, _, version = posts[index]
            named = {"op": op, "postID": post_id, "if_version": version}
            operations.append(named | {"text": text} if op == "update" else named)
            posts[index : index + 1] = [(post_id, text, version + 1)] if op == "update" else []
        if is_doomed:
            operations.append({"op": "delete", "postID": "01a20544-8f6d-7250-9b81-05646f62c3bb"})
        tag = {"if-match": f'"{timeline.version}"'}
        response = self.ask(timeline, "POST", "/posts/batch", json={"operations": operations}, headers=tag)
        if is_doomed:
            assert response.status_code == 404
            assert response.json()["errors"][0]["field"] == f"operations[{len(operations) - 1}]"
            return
        assert response.status_code == 200
        results = zip(operations, response.json()["results"], strict=True)
        added = [(done["postID"], asked["text"], 1) for asked, done in results if asked["op"] == "create"]
        timeline.posts = posts + added
        self.changed_together(timeline, [f"post.{operation['op']}d" for operation in operations])
        assert response.json()["version"] == timeline.version

    @rule(name=people, limit=st.integers(1, 5), pages=st.integers(1, 3))
    def synchronise_a_little(self, name: str, limit: int, pages: int) -> None:
        for _ in range(pages):
            self.synchronise(self.timelines[name], limit)

    @rule(name=people, limit=st.integers(1, 5))
    def synchronise_to_the_end(self, name: str, limit: int) -> None:
        timeline = self.timelines[name]
        while self.synchronise(timeline, limit):
            pass
        assert timeline.synchronised == timeline.version
        assert timeline.copy == {post_id: (text, version) for post_id, text, version in timeline.posts}

    def synchronise(self, timeline: Timeline, limit: int) -> bool:
        """Take one page of changes over into the copy, and return whether there are more."""
        path = f"/posts/changes?since={timeline.synchronised}&limit={limit}"
        page = self.ask(timeline, "GET", path).json()
        assert len({change["postID"] for change in page["changes"]}) == len(page["changes"]) <= limit
        assert page["has_more"] == (page["version"] < timeline.version)
        for change in page["changes"]:
            if change["post"] is None:
                timeline.copy.pop(change["postID"], None)
            else:
                timeline.copy[change["postID"]] = (change["post"]["text"], change["post"]["version"])
        timeline.synchronised = page["version"]
        return bool(page["has_more"])

    @rule(name=people, choice=choices, method=st.sampled_from(["GET", "PATCH", "DELETE"]))
    def reach_for_the_others_post(self, name: str, choice: int, method: str) -> None:
        other = self.timelines["bob" if name == "ada" else "ada"]
        if other.posts:
            post_id = other.posts[choice % len(other.posts)][0]
            body = {"json": {"text": "mine"}} if method == "PATCH" else {}
            assert self.ask(self.timelines[name], method, f"/posts/{post_id}", **body).status_code == 404

    @rule(name=people, body=st.sampled_from([{}, {"text": ""}, {"text": 1}, {"text": "a", "id": "b"}]))
    def add_nonsense(self, name: str, body: dict[str, Any]) -> None:
        assert self.ask(self.timelines[name], "POST", "/posts", json=body).status_code == 400

    @rule(name=people, limit=st.integers(1, 5))
    def page_through(self, name: str, limit: int) -> None:
        timeline, seen = self.timelines[name], list[str]()
        path = f"/posts?limit={limit}"
        while path:
            response = self.ask(timeline, "GET", path)
            assert len(response.json()) <= limit
            seen += [post["postID"] for post in response.json()]
            path = response.headers.get("link", "").partition(">")[0].lstrip("<")
        assert seen == [post_id for post_id, _, _ in reversed(timeline.posts)]

    @rule(name=people)
    def list_if_changed(self, name: str) -> None:
        timeline = self.timelines[name]
        if timeline.tag is not None:
            response = self.ask(timeline, "GET", "/posts", headers={"if-none-match": timeline.tag})
            assert response.status_code == (304 if timeline.tag == f'"{timeline.version}"' else 200)

    @invariant()
    def every_list_is_what_was_acknowledged(self) -> None:
        for timeline in self.timelines.values():
            response = self.ask(timeline, "GET", "/posts")
            assert [(post["postID"], post["text"], post["version"]) for post in response.json()] == timeline.posts[::-1]
            timeline.tag = response.headers["etag"]
            assert timeline.tag == f'"{timeline.version}"'

    @invariant()
    def nothing_else_was_fired(self) -> None:
        assert len(self.fired) == sum(timeline.version for timeline in self.timelines.values())


@pytest.mark.filterwarnings("default::ResourceWarning")
@pytest.mark.parametrize("is_in_memory", [False, True])
def test_two_people_always_see_what_was_acknowledged_to_them(migrated_sqlite: Path, *, is_in_memory: bool) -> None:
    TwoPeople.template = None if is_in_memory else migrated_sqlite
    run_state_machine_as_test(
        TwoPeople,
        settings=settings(max_examples=15, stateful_step_count=25),
    )
