"""Litestar's own listeners, as an extension would bring them, and what the guide to extending says of listeners."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.events import listener

from app.application import create_app
from app.settings import Settings
from events.types import PostEvent
from tests.api.conftest import serve
from tests.api.people import Person
from tests.guide import blocks


async def test_an_extension_hears_of_every_change_without_a_change_in_our_code(settings: Settings) -> None:
    heard: asyncio.Queue[tuple[str, int]] = asyncio.Queue()

    @listener("post.created", "post.updated", "post.deleted")
    async def hear(event: PostEvent) -> None:
        await heard.put((event.type, event.version))

    async with serve(create_app(settings, listeners=[hear])) as client:
        ada = await Person.sign_up(client, "ada@example.com")
        post_id = await ada.add("hello")
        await ada.request("PATCH", f"/posts/{post_id}", json={"text": "edited"})
        await ada.request("DELETE", f"/posts/{post_id}")
        got = {await asyncio.wait_for(heard.get(), 5) for _ in range(3)}

    assert got == {("post.created", 1), ("post.updated", 2), ("post.deleted", 3)}
    assert heard.empty()


async def test_a_failing_extension_harms_neither_the_request_nor_later_events(settings: Settings) -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue()

    @listener("post.created")
    async def fail(event: PostEvent) -> None:
        await heard.put(event)
        raise RuntimeError("extension is broken")

    async with serve(create_app(settings, listeners=[fail])) as client:
        ada = await Person.sign_up(client, "ada@example.com")
        await ada.add("one")
        await ada.add("two")
        versions = [(await asyncio.wait_for(heard.get(), 5)).version for _ in range(2)]
        assert await ada.texts() == ["two", "one"]

    assert sorted(versions) == [1, 2]


async def test_a_post_can_be_added_while_nobody_listens(app: Litestar, ada: Person) -> None:
    assert not app.event_emitter.listeners

    await ada.add("hello")


@pytest.mark.parametrize("name", ["my_service.py", "my_index.py"])
async def test_the_guides_listeners_hear_of_a_change(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for setting in Settings.model_fields:
        monkeypatch.delenv(setting.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    (code,) = (block.code for block in blocks("Hear of changes") if block.path == name)
    module: dict[str, Any] = {}
    exec(code, module)  # noqa: S102 - it is ours

    async with serve(module["app"]) as client:
        await (await Person.sign_up(client, "ada@example.com")).add("hello")
        heard = ""
        async with asyncio.timeout(5):
            while not heard:
                await asyncio.sleep(0.01)
                heard = capsys.readouterr().out

    assert "version 1" in heard
