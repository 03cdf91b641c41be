"""Stopping the service: what has begun is finished, nothing new is begun, and leaving so is no failure."""

import signal
import socket
import time
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import Client, Server, migrate, serving
from tests.receiver import receiving
from tests.services import fresh_mariadb_database

BODY = b'{"text": "begun before the end"}'


def begin_request(server: Server, person: Client) -> socket.socket:
    """Send a request whose body is still to come."""
    connection = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=10)
    head = (
        f"POST /posts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {person.tokens['access_token']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    )
    connection.sendall(head.encode())
    # Whoever answers this has read what came before it.
    assert httpx.get(f"{server.url}/health/live").status_code == 200
    return connection


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_that_has_begun_is_answered_and_no_new_one_is_taken(
    tmp_path: Path, signal_number: signal.Signals
) -> None:
    with serving(tmp_path) as server:
        person = Client.sign_up(server.url, "ada@example.com")
        with begin_request(server, person) as connection:
            server.process.send_signal(signal_number)
            time.sleep(0.5)
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"{server.url}/health/live")

            connection.sendall(BODY)
            answer = connection.recv(4096)

        assert answer.startswith(b"HTTP/1.1 201"), answer
        assert server.process.wait(15) == 0, server.output()
        assert "Traceback" not in server.output()

    with serving(tmp_path, port=int(server.url.rpartition(":")[2])):
        assert [post["text"] for post in person.list()] == ["begun before the end"]


def test_several_workers_stop_with_the_process_that_started_them(tmp_path: Path) -> None:
    with fresh_mariadb_database() as url:
        settings = {"DATABASE_URL": url.render_as_string(hide_password=False)}
        migrate(tmp_path, **settings)
        with serving(tmp_path, settings=settings | {"WEB_CONCURRENCY": "2"}) as server:
            server.wait_for_lines("Started parent process")
            Client.sign_up(server.url, "ada@example.com").add("hello")

            server.process.terminate()

            assert server.process.wait(15) == 0
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"{server.url}/health/live")


def test_a_request_that_never_ends_does_not_keep_the_process(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        person = Client.sign_up(server.url, "ada@example.com")
        with begin_request(server, person):
            server.process.terminate()
            server.process.wait(30)


def test_a_delivery_that_has_begun_is_finished_and_not_repeated(tmp_path: Path) -> None:
    allowed = {"WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}
    with receiving() as receiver:
        receiver.delay = 1
        with serving(tmp_path, settings=allowed) as server:
            person = Client.sign_up(server.url, "ada@example.com")
            person.request("POST", "/webhooks", json={"url": receiver.url})
            for number in range(3):
                person.add(f"post {number}")
            receiver.wait_for(1)
            server.process.terminate()
            assert server.process.wait(15) == 0
        assert receiver.versions == [1]

        receiver.delay = 0
        with serving(tmp_path, settings=allowed):
            receiver.wait_for(3)
        assert receiver.versions == [1, 2, 3]
