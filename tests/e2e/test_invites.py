"""Inviting people beside a running service, in every size: in force when the command returns."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.e2e.operator import Operator
from tests.e2e.server import ROOT, Server, run, serving

PASSWORD = "correct horse battery"
ON_EVERY_WORKER = 24
INVITE = {"SIGN_UP": "invite", "PUBLIC_URL": "https://posts.example.com"}


@pytest.fixture
def settings(settings: dict[str, str]) -> dict[str, str]:
    return settings | INVITE


@pytest.fixture
def server(tmp_path: Path, settings: dict[str, str]) -> Iterator[Server]:
    with serving(tmp_path, workers=3 if "DATABASE_URL" in settings else 1, settings=settings) as server:
        yield server


@pytest.fixture
def operator(tmp_path: Path, settings: dict[str, str]) -> Operator:
    return Operator(tmp_path, settings, "invites")


def sign_up(server: Server, email: str, code: str | None) -> httpx.Response:
    return server.http.post(f"{server.url}/auth/signup", json={"email": email, "password": PASSWORD, "invite": code})


def kind_of(response: httpx.Response) -> str:
    kind: str = response.json()["type"]
    return kind.rpartition(":")[2]


def test_whom_an_operator_invites_signs_up_once_and_the_list_says_who(server: Server, operator: Operator) -> None:
    assert kind_of(sign_up(server, "ada@example.com", None)) == "invalid-invite"
    (created,) = operator.told("create", "--email", "Ada@Example.com", "--expires-in", "12h")
    code = created["code"]
    assert created["link"] == f"https://posts.example.com/#invite={code}"
    assert (created["email"], created["state"]) == ("ada@example.com", "open")

    assert kind_of(sign_up(server, "bob@example.com", code)) == "invalid-invite"
    assert sign_up(server, "ADA@example.com", code).status_code == 201
    assert kind_of(sign_up(server, "ada@example.com", code)) == "invalid-invite"

    (used,) = operator.told("list")
    assert (used["id"], used["state"], used["used_by"]) == (created["id"], "used", "ada@example.com")
    assert used["created_by"]
    assert used["used_at"] >= used["created_at"]
    table = operator.run("list").stdout
    assert code not in table + json.dumps(used)
    heads, row = table.splitlines()
    assert heads.split()[:4] == ["INVITATION", "FOR", "STATE", "EXPIRES"]
    assert row.split()[:3] == [created["id"], "ada@example.com", "used"]


def test_a_revoked_invitation_is_refused_by_every_worker_when_the_command_returns(
    server: Server, operator: Operator
) -> None:
    by_code, by_id, stays = (operator.told("create")[0] for _ in range(3))
    (revoked,) = operator.told("revoke", by_code["code"])
    operator.told("revoke", by_id["id"])
    assert (revoked["state"], revoked["id"]) == ("revoked", by_code["id"])
    assert revoked["revoked_by"]

    for number in range(ON_EVERY_WORKER):
        for gone in (by_code, by_id):
            assert kind_of(sign_up(server, f"ada-{number}@example.com", gone["code"])) == "invalid-invite"
    assert sign_up(server, "ada@example.com", stays["code"]).status_code == 201


def test_of_many_who_use_one_code_at_once_one_gets_an_account(server: Server, operator: Operator) -> None:
    code = operator.told("create")[0]["code"]

    with ThreadPoolExecutor(12) as people:
        answers = list(people.map(lambda number: sign_up(server, f"{number}@example.com", code), range(12)))

    assert sorted(answer.status_code for answer in answers) == [201] + [403] * 11


def test_what_can_not_be_done_is_one_line(server: Server, operator: Operator) -> None:
    code = operator.told("create")[0]["code"]
    sign_up(server, "ada@example.com", code)
    for command, said in [
        (("revoke", "unknown"), "no invitation has this code or id"),
        (("revoke", "01a20544-8f6d-7250-9b81-05646f62c3bb"), "no invitation has this code or id"),
        (("revoke", code), "the invitation is used"),
        (("create", "--email", "not an address"), "email: "),
    ]:
        ended = operator.run(*command)
        assert (ended.returncode, ended.stdout) == (1, ""), command
        [line] = ended.stderr.splitlines()
        assert line.startswith(f"postline: {said}")
    for lifetime in ("0d", "7", "367d", "-1d", "soon"):
        assert operator.run("create", "--expires-in", lifetime).returncode == 2


@pytest.mark.parametrize("policy", ["open", "closed"])
def test_where_invitations_are_of_no_use_the_operator_is_told(tmp_path: Path, policy: str) -> None:
    settings = {"SIGN_UP": policy}
    with serving(tmp_path, settings=settings) as server:
        ended = Operator(tmp_path, settings, "invites").run("create", "--json")
        (created,) = json.loads(ended.stdout)
        answer = sign_up(server, "ada@example.com", created["code"])

    assert ended.returncode == 0
    assert f"SIGN_UP is {policy} here" in ended.stderr
    assert answer.status_code == (201 if policy == "open" else 403)


def test_an_operator_creates_a_user_where_sign_up_is_closed(tmp_path: Path) -> None:
    settings = {"SIGN_UP": "closed"}
    with serving(tmp_path, settings=settings) as server:
        refused = sign_up(server, "ada@example.com", None)
        command = ["litestar", "--app-dir", str(ROOT), "users", "create", "ada@example.com"]
        created = run(*command, cwd=tmp_path, typed=f"{PASSWORD}\n", **settings)
        form = {"email": "ada@example.com", "password": PASSWORD}
        logged_in = server.http.post(f"{server.url}/auth/login", json=form)

    assert kind_of(refused) == "sign-up-closed"
    assert created.returncode == 0, created.stderr
    assert logged_in.status_code == 200
