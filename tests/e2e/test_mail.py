"""Mails of a started service: none is lost when it is killed, and operators help with commands beside it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.server import ROOT, Client, environment, free_port, run, serving
from tests.smtp_server import mail_server

NEW_PASSWORD = "another horse battery"


def workers(settings: dict[str, str]) -> int:
    return 3 if "DATABASE_URL" in settings else 1


def command(folder: Path, settings: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "litestar", "--app-dir", str(ROOT), *words],
        cwd=folder,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def told(folder: Path, settings: dict[str, str], *words: str) -> list[dict[str, Any]]:
    ended = command(folder, settings, *words, "--json")
    assert ended.returncode == 0, ended.stderr
    answer: list[dict[str, Any]] = json.loads(ended.stdout)
    return answer


def ask(url: str, email: str) -> None:
    assert httpx.post(f"{url}/auth/password-reset", json={"email": email}, timeout=30).status_code == 202


def reset(url: str, token: str) -> int:
    body = {"token": token, "new_password": NEW_PASSWORD}
    return httpx.post(f"{url}/auth/password-reset/confirm", json=body, timeout=30).status_code


def test_mails_that_wait_when_the_service_is_killed_arrive_after_it_is_started_again(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    """Both those that the mail server has refused for now and those of which it was just being told."""
    emails = [f"user{number}@example.com" for number in range(6)]
    with mail_server() as mails:
        settings |= {"MAIL_URL": mails.url(), "MAIL_RATE_LIMIT": "100/hour"}
        mails.on_recipient = "451 try again later"
        with serving(tmp_path, workers=workers(settings), settings=settings) as server:
            for email in emails:
                Client.sign_up(server.url, email)
                ask(server.url, email)
            mails.wait_for_attempts(6)
            mails.on_recipient, mails.hangs_after_data = None, True
            mails.wait_for_attempts(mails.attempts + 1)
            server.kill()
        mails.hangs_after_data = False
        waiting = sum(one["waiting"] for one in told(tmp_path, settings, "mail", "status"))

        with serving(tmp_path, workers=workers(settings), settings=settings) as server:
            received = mails.wait_for(waiting, seconds=120)
            resets = {mail.recipient: mail.token for mail in received if "password-reset" in mail.link}
            statuses = [reset(server.url, token) for token in resets.values()]

    assert waiting >= len(emails)
    assert set(resets) == set(emails)
    assert statuses == [204] * len(emails)


def test_an_operators_link_opens_an_account_also_where_no_mail_can_be_sent(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    settings |= {
        "ENVIRONMENT": "production",
        "JWT_SECRET": "3c9a1f5e7b2d8c4a6f0e1d3b5a7c9e2f4b6d8a0c1e3f5a7b9d2c4e6f8a0b1c3d",
        "PUBLIC_URL": "https://posts.example.com/",
    }
    with serving(tmp_path, workers=workers(settings), settings=settings) as server:
        ada = Client.sign_up(server.url, "ada@example.com")
        ended = command(tmp_path, settings, "users", "reset-link", "ADA@example.com")
        link = ended.stdout.strip()
        assert link.startswith("https://posts.example.com/#password-reset="), ended.stderr
        assert told(tmp_path, settings, "users", "reset-link", ada.email)[0]["link"].startswith("https://posts")
        assert reset(server.url, link.partition("=")[2]) == 204
        assert ada.request("GET", "/posts").status_code == 401

        (shown,) = told(tmp_path, settings, "users", "show", ada.email)
        assert [action["action"] for action in shown["actions"]] == ["reset link made"] * 2
        told(tmp_path, settings, "users", "disable", ada.email)
        refused = command(tmp_path, settings, "users", "reset-link", ada.email)
        assert (refused.returncode, refused.stdout, len(refused.stderr.splitlines())) == (1, "", 1)
        assert "token" not in server.output()
        assert link.partition("=")[2] not in server.output()

    nowhere = command(tmp_path, settings | {"PUBLIC_URL": ""}, "users", "reset-link", ada.email)
    assert (nowhere.returncode, nowhere.stderr) == (1, "postline: PUBLIC_URL must be set: the link leads there\n")


def test_a_fresh_service_without_settings_writes_mails_where_its_log_says(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        Client.sign_up(server.url, "ada@example.com")
        ask(server.url, "ada@example.com")
        [line, *_] = server.wait_for_lines("a mail was written to ")
        path = tmp_path / line.partition("a mail was written to ")[2].split()[0]
        mail = path.read_text()
        assert path.stat().st_mode & 0o777 == 0o600
        assert "ada@example.com" not in server.output()
    assert "http://127.0.0.1:8000/#password-reset=" in mail


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("MAIL_URL", "http://mail.example.com", "MAIL_URL: is no mail server"),
        ("MAIL_URL", "smtp://secret@mail.example.com", "MAIL_URL: must have both"),
        ("MAIL_URL", "smtp://mail.example.com?starttls=maybe", "MAIL_URL: takes one option"),
        ("MAIL_FROM", "nobody", "MAIL_FROM: is no address"),
        ("PUBLIC_URL", "posts.example.com", "PUBLIC_URL: is no address of this service"),
        ("MAIL_TEMPLATES", "nowhere", "MAIL_TEMPLATES: there is no folder"),
    ],
)
def test_a_setting_that_can_not_be_used_stops_the_start_in_one_line(
    tmp_path: Path, name: str, value: str, reason: str
) -> None:
    ended = run("litestar", "--app-dir", str(ROOT), "run", "--port", str(free_port()), cwd=tmp_path, **{name: value})

    assert ended.returncode == 1
    (line,) = ended.stderr.strip().splitlines()
    assert line.startswith(f"postline: {reason}")
    assert "secret" not in line
