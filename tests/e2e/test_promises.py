"""What the service promises, held to it from outside: by real processes, some of them killed."""

import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faker
import httpx

from tests.e2e.server import Client, Server, free_port, serving


def real_texts() -> list[str]:
    """Return 200 texts in many scripts and languages: the locale files of a library of fake names."""
    folder = Path(faker.__file__).parent / "providers"
    texts = [path.read_text() for path in sorted(folder.glob("*/*/__init__.py")) if path.stat().st_size > 200]
    assert len(texts) > 200
    scripts = texts[:: len(texts) // 199][:199]
    filler = "Ünïcödé 漢字 🦆 "
    return [*scripts, (filler * 100_000).encode()[:1_048_000].decode(errors="ignore")]


def test_two_hundred_real_texts_come_back_as_they_were_sent(server: Server) -> None:
    ada = Client.sign_up(server.url, "texts@example.com")
    texts = real_texts()
    ids = []
    for number, text in enumerate(texts):
        # Sent as UTF-8, as other languages' clients do, so that a text near the limit fits the body.
        body = httpx.Request("POST", "/", json={"text": text}).content
        response = ada.request("POST", "/posts", content=body)
        assert response.status_code == 201, response.text
        ids.append(response.json()["postID"])
        if number % 20 == 0:
            assert [post["postID"] for post in ada.list()] == ids[::-1]

    for _ in range(5):
        listed = ada.list()
        assert [post["text"] for post in listed] == texts[::-1]

    assert ada.request("DELETE", f"/posts/{ids[7]}").status_code == 204
    assert ids[7] not in [post["postID"] for post in ada.list()]
    assert len(ada.list()) == 199


def test_every_list_after_an_acknowledged_write_shows_it(server: Server) -> None:
    def live(name: str) -> list[str]:
        person, expected, stale = Client.sign_up(server.url, f"{name}@example.com"), list[str](), list[str]()
        for number in range(25):
            if number % 5 == 4:
                person.request("DELETE", f"/posts/{expected.pop(0)}")
            else:
                expected.append(person.add(f"{name} {number}"))
            for _ in range(3):
                seen = [post["postID"] for post in person.list()]
                if seen != expected[::-1]:
                    stale.append(f"{name} {number}: {len(seen)} for {len(expected)}")
        return stale

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(live, [f"reader{n}" for n in range(6)]))
    assert results == [[]] * 6


def test_writers_of_one_user_on_several_connections_leave_no_gap(server: Server) -> None:
    person = Client.sign_up(server.url, "shared@example.com")

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda n: person.add(f"post {n}"), range(40)))

    response = person.request("GET", "/posts")
    assert response.headers["etag"] == '"40"'
    assert sorted(post["postID"] for post in response.json()) == sorted(ids)


def test_an_ended_session_is_refused_on_every_worker(server: Server) -> None:
    person = Client.sign_up(server.url, "leaver@example.com")
    for _ in range(12):
        person.list()

    assert person.request("POST", "/auth/logout").status_code == 204

    assert {person.request("GET", "/posts").status_code for _ in range(24)} == {401}


def test_a_body_that_is_too_large_is_refused_however_it_is_sent(server: Server) -> None:
    person = Client.sign_up(server.url, "large@example.com")
    body = b'{"text":"' + b"x" * 1_048_566 + b'"}'
    assert len(body) == 1_048_577

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    for content in (body, chunks()):
        response = person.request("POST", "/posts", content=content)
        assert (response.status_code, response.headers["content-type"]) == (413, "application/problem+json")
    assert person.request("POST", "/posts", content=body[:9] + body[10:]).status_code == 201


UNUSUAL_REQUESTS = [
    b"GET /keep+quiet HTTP/1.1\r\nno header, but to keep quiet",
    b"POST /posts HTTP/1.1\r\nContent-Length: keep quiet",
    b"GET /posts HTTP/1.1\r\nX-Request-ID: keep quiet\r\nTraceparent: keep quiet\r\nAuthorization: keep quiet",
    b"GET /keep%20quiet?keep%20quiet HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13"
    b"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]


def test_nothing_secret_is_logged(server: Server) -> None:
    person = Client.sign_up(server.url, "quiet@example.com", password="a password to keep quiet")
    person.add("a text to keep quiet")
    person.list()
    httpx.post(f"{server.url}/auth/signup", json={"email": "x", "password": "a wrong one to keep quiet"})
    httpx.post(f"{server.url}/auth/login", json={"email": "quiet@example.com", "password": "also to keep quiet"})
    httpx.get(f"{server.url}/a path to keep quiet?and=keep quiet")
    for begins in UNUSUAL_REQUESTS:
        with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=5) as connection:
            connection.sendall(begins + b"\r\nHost: x\r\nConnection: Upgrade, close\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 4")

    server.wait_for_lines("/posts")
    logged = server.output()
    assert not re.search("keep.{1,3}quiet", logged)
    assert person.tokens["access_token"] not in logged
    assert person.tokens["refresh_token"] not in logged


def test_no_acknowledged_post_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    port = free_port()

    for attempt in range(3):
        with serving(tmp_path, port=port) as server:
            person = Client.sign_up(server.url, f"round{attempt}@example.com")
            killer = threading.Timer(1.0, server.kill)
            killer.start()
            ids: list[str] = []
            try:
                while True:
                    ids.append(person.add(f"post {len(ids)}"))
            except httpx.TransportError:
                pass
            killer.join()
            assert ids

        with serving(tmp_path, port=port) as server:
            listed = [post["postID"] for post in Client(server.url, person.email, person.tokens).list()]
            # The last request may have been committed without being answered; nothing else may differ.
            assert listed[::-1][: len(ids)] == ids
            assert len(listed) - len(ids) in {0, 1}


def test_a_key_whose_request_was_killed_never_blocks_the_next_try(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, port=port) as server:
        person = Client.sign_up(server.url, "retrier@example.com")
        killer = threading.Timer(0.7, server.kill)
        killer.start()
        number = 0
        try:
            while True:
                person.request("POST", "/posts", json={"text": f"{number}"}, headers={"idempotency-key": f"{number}"})
                number += 1
        except httpx.TransportError:
            killer.join()

    with serving(tmp_path, port=port):
        retried = person.request("POST", "/posts", json={"text": f"{number}"}, headers={"idempotency-key": f"{number}"})
        assert retried.status_code == 201
        assert [post["text"] for post in person.list()] == [str(n) for n in range(number, -1, -1)]
