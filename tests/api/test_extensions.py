"""Litestar's own listeners, as an extension would bring them, and what the guide to extending says of listeners."""

import asyncio
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import pytest
from litestar import Litestar
from litestar.events import EventListener, listener

from app.application import create_app
from app.commands.users import UserCommands
from app.settings import Settings
from events.types import PostEvent, UserEvent
from tests.api.conftest import serve
from tests.api.people import PASSWORD, Person
from tests.guide import blocks
from tests.mailbox import Mailbox


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


async def test_an_extension_hears_of_accounts_by_id_and_never_by_address(settings: Settings) -> None:
    heard: asyncio.Queue[UserEvent] = asyncio.Queue()

    @listener("user.signed_up", "user.email_changed", "user.erased")
    async def hear(event: UserEvent) -> None:
        await heard.put(event)

    async def hear_one() -> UserEvent:
        return await asyncio.wait_for(heard.get(), 60)

    async with serve(create_app(settings, listeners=[hear])) as client:
        ada = await Person.sign_up(client, "ada@example.com")
        signed_up = await hear_one()
        user_id = (await ada.get("/me")).json()["user_id"]
        await ada.request("POST", "/me/email", json={"email": "lovelace@example.com", "password": PASSWORD})
        token = await Mailbox(settings.data_dir).token("confirm-email", "lovelace@example.com")
        await client.post("/me/email/confirm", json={"token": token})
        changed = await hear_one()
        version = (await ada.get("/posts")).headers["etag"]
        await ada.request("POST", "/me/erase", json={"password": PASSWORD})
        erased = await hear_one()

    events = [signed_up, changed, erased]
    assert [event.type for event in events] == ["user.signed_up", "user.email_changed", "user.erased"]
    assert {str(event.user_id) for event in events} == {user_id}
    assert signed_up.occurred_at < changed.occurred_at < erased.occurred_at
    assert "example.com" not in repr(events)
    assert version == '"0"'
    assert heard.empty()


def test_an_operators_command_waits_for_the_extension_that_hears_of_it(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[str] = []

    def hearing(*kinds: str) -> EventListener:
        @listener(*kinds)
        async def hear(event: UserEvent) -> None:
            await asyncio.sleep(0)
            heard.append(event.type)

        return hear

    @listener("user.disabled")
    async def fail(event: UserEvent) -> None:
        raise RuntimeError("extension is broken")

    def run(*words: str) -> None:
        app = create_app(settings, listeners=[fail, hearing("user.signed_up"), hearing("user.disabled")])
        cli = click.Group()
        for plugin in app.plugins.cli:
            if isinstance(plugin, UserCommands):
                plugin.on_cli_init(cli)
        cli.main(["users", *words], standalone_mode=False)

    with patch("sys.stdin", StringIO(f"{PASSWORD}\n")):
        run("create", "ada@example.com")
    run("disable", "ada@example.com")
    with pytest.raises(SystemExit, match=r"^postline: no user has this address$"):
        run("disable", "nobody@example.com")

    assert heard == ["user.signed_up", "user.disabled"]
    assert "ada@example.com" in capsys.readouterr().out


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


@pytest.mark.parametrize(
    ("name", "said"), [("my_service.py", "version 1"), ("my_copy.py", "user.signed_up"), ("my_index.py", "version 1")]
)
async def test_the_guides_listeners_hear_of_a_change(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
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

    assert said in heard
