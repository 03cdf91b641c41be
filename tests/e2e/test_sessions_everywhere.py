"""Sessions, keys and accounts on several processes at once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.e2e.server import Client, Server

PASSWORD = "correct horse battery"
ON_EVERY_WORKER = 24


def log_in(server: Server, email: str, password: str = PASSWORD) -> Client:
    response = httpx.post(f"{server.url}/auth/login", json={"email": email, "password": password})
    assert response.status_code == 200, response.text
    return Client(server.url, email, response.json())


def statuses(person: Client, path: str = "/posts") -> set[int]:
    return {person.request("GET", path).status_code for _ in range(ON_EVERY_WORKER)}


def test_a_revoked_session_is_refused_by_every_worker_from_the_next_request_on(server: Server) -> None:
    laptop = Client.sign_up(server.url, "revoker@example.com")
    phone = log_in(server, laptop.email)
    assert statuses(phone) == {200}
    (target,) = [one["id"] for one in phone.request("GET", "/auth/sessions").json() if one["is_current"]]

    assert laptop.request("DELETE", f"/auth/sessions/{target}").status_code == 204

    assert statuses(phone) == {401}
    assert statuses(laptop) == {200}


def test_a_changed_password_ends_the_other_sessions_on_every_worker(server: Server) -> None:
    laptop = Client.sign_up(server.url, "changer@example.com")
    phone = log_in(server, laptop.email)
    assert statuses(phone) == {200}

    change = {"current_password": PASSWORD, "new_password": "another horse battery"}
    assert laptop.request("PUT", "/me/password", json=change).status_code == 204

    assert statuses(phone) == {401}
    assert statuses(laptop) == {200}
    assert statuses(log_in(server, laptop.email, "another horse battery")) == {200}


def test_an_erased_account_is_gone_on_every_worker_and_can_be_made_anew(server: Server) -> None:
    person = Client.sign_up(server.url, "eraser@example.com")
    person.add("hello")
    _account, _session, _post, _end = person.request("GET", "/me/export").text.splitlines()

    assert person.request("DELETE", "/me", json={"password": PASSWORD}).status_code == 204

    assert statuses(person) == {401}
    again = Client.sign_up(server.url, "eraser@example.com")
    assert again.list() == []
    assert statuses(person) == {401}


def test_concurrent_refreshes_of_one_token_agree_on_its_successor(server: Server) -> None:
    person = Client.sign_up(server.url, "refresher@example.com")

    def refresh(_: int) -> dict[str, Any]:
        body = {"refresh_token": person.tokens["refresh_token"]}
        response = httpx.post(f"{server.url}/auth/refresh", json=body)
        assert response.status_code == 200, response.text
        tokens: dict[str, Any] = response.json()
        return tokens

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(refresh, range(8)))

    assert len({tokens["refresh_token"] for tokens in answers}) == 1
    assert {Client(server.url, "", tokens).request("GET", "/posts").status_code for tokens in answers} == {200}


def test_concurrent_posts_with_one_key_make_one_post(server: Server) -> None:
    person = Client.sign_up(server.url, "repeater@example.com")

    def add(number: int) -> str:
        key = {"idempotency-key": f"key {number % 5}".replace(" ", "-")}
        response = person.request("POST", "/posts", json={"text": f"text {number % 5}"}, headers=key)
        assert response.status_code == 201, response.text
        post_id: str = response.json()["postID"]
        return post_id

    with ThreadPoolExecutor(10) as pool:
        ids = list(pool.map(add, range(40)))

    assert len(set(ids)) == 5
    assert sorted(post["postID"] for post in person.list()) == sorted(set(ids))


def test_of_two_edits_of_one_version_one_wins(server: Server) -> None:
    person = Client.sign_up(server.url, "editor@example.com")
    post_id = person.add("first")

    def edit(number: int) -> int:
        headers = {"if-match": '"1"'}
        return person.request(
            "PATCH", f"/posts/{post_id}", json={"text": f"edit {number}"}, headers=headers
        ).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(edit, range(8)))

    assert answers == [200] + [412] * 7
    assert person.request("GET", "/posts").headers["etag"] == '"2"'
