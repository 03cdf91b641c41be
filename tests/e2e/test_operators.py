"""Operators' commands beside a running service, in every size: in force when they return."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.operator import Operator
from tests.e2e.server import ROOT, Client, Server, serving
from tests.receiver import receiving

PASSWORD = "correct horse battery"
ON_EVERY_WORKER = 24


@pytest.fixture
def server(tmp_path: Path, settings: dict[str, str]) -> Iterator[Server]:
    with serving(tmp_path, workers=3 if "DATABASE_URL" in settings else 1, settings=settings) as server:
        yield server


@pytest.fixture
def operator(tmp_path: Path, settings: dict[str, str]) -> Operator:
    return Operator(tmp_path, settings)


def statuses(person: Client) -> set[int]:
    return {person.request("GET", "/posts").status_code for _ in range(ON_EVERY_WORKER)}


def log_in(server: Server, email: str, password: str = PASSWORD) -> httpx.Response:
    return httpx.post(f"{server.url}/auth/login", json={"email": email, "password": password})


def test_a_disabled_user_is_out_on_every_worker_when_the_command_returns(server: Server, operator: Operator) -> None:
    ada, bob = (Client.sign_up(server.url, f"{name}@example.com") for name in ("ada", "bob"))
    ada.add("stays")
    assert statuses(ada) == {200}
    ended = threading.Event()

    def follow() -> None:
        headers = {"authorization": f"Bearer {ada.tokens['access_token']}"}
        with httpx.stream("GET", f"{server.url}/posts/events", headers=headers, timeout=60) as feed:
            for _ in feed.iter_lines():
                pass
        ended.set()

    following = threading.Thread(target=follow, daemon=True)
    following.start()

    (told,) = operator.told("disable", "ADA@example.com")

    assert statuses(ada) == {401}
    assert told["disabled_at"] is not None
    assert ended.wait(30)
    unknown = log_in(server, "nobody@example.com")
    refused = log_in(server, ada.email)
    assert (refused.status_code, refused.json()) == (unknown.status_code, unknown.json())
    refresh = httpx.post(f"{server.url}/auth/refresh", json={"refresh_token": ada.tokens["refresh_token"]})
    assert refresh.status_code == 401
    assert statuses(bob) == {200}

    operator.told("enable", ada.email)
    again = Client(server.url, ada.email, log_in(server, ada.email).json())
    assert [post["text"] for post in again.list()] == ["stays"]


@pytest.mark.parametrize("command", ["disable", "end-sessions", "set-password"])
def test_personal_tokens_end_on_every_worker_before_the_command_returns(
    server: Server, operator: Operator, command: str
) -> None:
    ada = Client.sign_up(server.url, "ada@example.com")
    body = {"name": "a script", "scopes": ["posts:read"]}
    created = ada.request("POST", "/me/tokens", json=body).json()
    script = Client(server.url, ada.email, {"access_token": created["token"]})
    assert statuses(script) == {200}
    (shown,) = operator.told("show", ada.email)
    assert (shown["sessions"], shown["tokens"]) == (1, 1)

    (told,) = operator.told(command, ada.email, typed="another horse battery\n")

    assert statuses(script) == {401}
    assert (told["sessions"], told["tokens"]) == (0, 0)


def test_a_disabled_users_webhooks_wait_until_the_user_is_enabled(server: Server, operator: Operator) -> None:
    ada, bob = (Client.sign_up(server.url, f"{name}@example.com") for name in ("ada", "bob"))
    with receiving() as receiver, receiving() as another:
        receiver.status = 503
        ada.request("POST", "/webhooks", json={"url": receiver.url})
        ada.add("waits")
        receiver.wait_for(1)
        operator.told("disable", ada.email)
        receiver.status = 202
        refused = len(receiver.received)
        bob.request("POST", "/webhooks", json={"url": another.url})
        bob.add("is delivered")
        another.wait_for(1, seconds=60)
        assert len(receiver.received) == refused

        operator.told("enable", ada.email)
        receiver.wait_for(refused + 1, seconds=60)


def test_a_user_is_created_shown_given_a_password_and_deleted(server: Server, operator: Operator) -> None:
    (created,) = operator.told("create", "Grace@Example.com", typed=f"{PASSWORD}\n")
    assert created["email"] == "grace@example.com"
    grace = Client(server.url, created["email"], log_in(server, created["email"]).json())
    grace.add("hello")

    operator.told("set-password", created["email"], typed="set by the operator\n")
    assert statuses(grace) == {401}
    assert log_in(server, created["email"]).status_code == 401
    assert log_in(server, created["email"], "set by the operator").status_code == 200

    operator.told("end-sessions", created["email"])
    (shown,) = operator.told("show", created["email"])
    assert (shown["posts"], shown["bytes"], shown["sessions"]) == (1, 5, 0)
    assert [action["action"] for action in shown["actions"]] == ["created", "password set", "sessions ended"]
    assert created["email"] in operator.run("list").stdout

    asked = operator.run("delete", created["email"], typed="n\n")
    assert (asked.returncode, "Aborted" in asked.stderr) == (1, True)
    operator.told("delete", created["email"], "--yes")
    assert operator.told("list") == []
    assert Client.sign_up(server.url, created["email"]).list() == []


def test_limits_that_are_set_for_one_user_are_in_force_on_every_worker_when_the_command_returns(
    server: Server, operator: Operator
) -> None:
    ada, bob = (Client.sign_up(server.url, f"{name}@example.com") for name in ("ada", "bob"))
    ada.add("the first")

    (told,) = operator.told("set-limits", ada.email, "--posts", "1", "--webhooks", "none")

    assert told["limits"] == {
        "posts": {"limit": 1, "is_default": False},
        "bytes": {"limit": None, "is_default": True},
        "webhooks": {"limit": None, "is_default": False},
    }
    refused = [ada.request("POST", "/posts", json={"text": "one more"}) for _ in range(ON_EVERY_WORKER)]
    assert {answer.status_code for answer in refused} == {403}
    assert refused[0].json()["quota"] == "posts"
    assert ada.request("GET", "/me").json()["limits"]["posts"] == {"used": 1, "limit": 1}
    bob.add("is not concerned")
    shown = operator.run("show", ada.email).stdout
    assert [line.split() for line in shown.splitlines() if line.startswith("posts")] == [
        ["posts", "1", "1", "operator"]
    ]

    operator.told("set-limits", ada.email, "--posts", "default")
    ada.add("the second")
    (shown_again,) = operator.told("show", ada.email)
    assert [action["action"] for action in shown_again["actions"]] == ["limits set", "limits set"]


def test_what_can_not_be_done_is_one_line(server: Server, operator: Operator) -> None:
    Client.sign_up(server.url, "ada@example.com")
    for command, typed in [
        (("disable", "nobody@example.com"), ""),
        (("show", "nobody@example.com"), ""),
        (("create", "ada@example.com"), f"{PASSWORD}\n"),
        (("create", "not an address"), f"{PASSWORD}\n"),
        (("create", "grace@example.com"), "short\n"),
        (("set-password", "ada@example.com"), "short\n"),
        (("set-limits", "ada@example.com"), ""),
        (("set-limits", "ada@example.com", "--posts", "many"), ""),
        (("set-limits", "ada@example.com", "--bytes", "-1"), ""),
        (("set-limits", "nobody@example.com", "--posts", "1"), ""),
    ]:
        ended = operator.run(*command, typed=typed)
        assert ended.returncode == 1, command
        assert ended.stdout == ""
        assert [line.startswith("postline: ") for line in ended.stderr.strip().splitlines()] == [True], ended.stderr
        assert "short" not in ended.stderr


LISTENING = """
from litestar.events import listener

from app.application import create_app


@listener("user.signed_up", "user.email_changed", "user.disabled", "user.enabled", "user.erased")
async def hear(event):
    with open("heard.txt", "a") as file:
        print(event.type, event.user_id, file=file)


app = create_app(listeners=[hear])
"""


def test_an_extension_hears_of_commands_that_are_run_with_it(
    tmp_path: Path, settings: dict[str, str], server: Server
) -> None:
    """In the command's own process, whatever application the service is."""
    (tmp_path / "listening.py").write_text(LISTENING)
    python_path = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    operator = Operator(tmp_path, settings | python_path, app="listening:app")
    ada = Client.sign_up(server.url, "ada@example.com")
    user_id = ada.request("GET", "/me").json()["user_id"]

    (created,) = operator.told("create", "grace@example.com", typed=f"{PASSWORD}\n")
    operator.told("disable", ada.email)
    operator.told("disable", ada.email)
    operator.told("enable", ada.email)
    operator.told("end-sessions", ada.email)
    operator.told("delete", ada.email, "--yes")

    assert (tmp_path / "heard.txt").read_text().splitlines() == [
        f"user.signed_up {created['user_id']}",
        f"user.disabled {user_id}",
        f"user.enabled {user_id}",
        f"user.erased {user_id}",
    ]
