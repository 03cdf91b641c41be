"""The service behind proxies: whose word is taken for a client's address, and below which path it is shown."""

from pathlib import Path

import httpx
import pytest

from tests.e2e.raw_http import connect
from tests.e2e.server import Client, serving
from tests.path_proxy import path_proxy_to


@pytest.mark.parametrize(
    ("trusted", "expected"),
    [("", [401, 401, 429, 429]), ("127.0.0.0/8", [401] * 4), ("192.0.2.7", [401, 401, 429, 429])],
)
def test_a_forwarded_address_counts_only_from_a_trusted_proxy(
    tmp_path: Path, trusted: str, expected: list[int]
) -> None:
    settings = {"AUTH_RATE_LIMIT": "2/minute", "TRUSTED_PROXIES": trusted}
    with serving(tmp_path, settings=settings) as server:
        answers = [
            httpx.post(
                f"{server.url}/auth/refresh",
                json={"refresh_token": "x"},
                headers={"x-forwarded-for": f"198.51.100.{number}"},
            ).status_code
            for number in range(4)
        ]

    assert answers == expected


@pytest.mark.parametrize(
    ("trusted", "expected"),
    [("", [401, 401, 429, 429]), ("unix", [401] * 4), ("127.0.0.0/8", [401, 401, 429, 429]), ("*", [401] * 4)],
)
def test_a_proxy_at_a_unix_socket_is_trusted_where_it_is_named(
    tmp_path: Path, trusted: str, expected: list[int]
) -> None:
    settings = {"AUTH_RATE_LIMIT": "2/minute", "TRUSTED_PROXIES": trusted}
    with serving(tmp_path, settings=settings, unix_socket=tmp_path / "postline.sock") as server:
        answers = [
            server.http.post(
                f"{server.url}/auth/refresh",
                json={"refresh_token": "x"},
                headers={"x-forwarded-for": f"198.51.100.{number}"},
            ).status_code
            for number in range(4)
        ]

    assert answers == expected


@pytest.mark.parametrize("strips", [True, False], ids=["stripped", "kept"])
def test_a_client_below_a_path_finds_what_answers_name(tmp_path: Path, strips: bool) -> None:
    settings = {"ROOT_PATH": "/postline"}
    with serving(tmp_path, settings=settings) as server, path_proxy_to(server.url, "/postline", strips=strips) as url:
        ada = Client.sign_up(f"{url}/postline", "ada@example.com")
        added = ada.request("POST", "/posts", json={"text": "one"})
        ada.add("two")
        page = ada.request("GET", "/posts?limit=1")
        shown = ada.at(url)

        assert shown.request("GET", added.headers["location"]).json()["text"] == "one"
        assert [post["text"] for post in shown.request("GET", page.links["next"]["url"]).json()] == ["one"]
        assert httpx.get(f"{url}/postline/docs").status_code == 200


def test_an_idle_connection_is_kept_as_long_as_the_setting_says(tmp_path: Path) -> None:
    with serving(tmp_path, settings={"KEEP_ALIVE_SECONDS": "1"}) as server, connect(server) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        with connection.makefile("rb") as answers:
            # It ends when the service closes the connection.
            assert answers.read().startswith(b"HTTP/1.1 200")
