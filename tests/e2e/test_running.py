"""`litestar run`: where it listens, and that nothing of it is left when it has been stopped."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import ROOT, STOP_SECONDS, free_port, migrate, running, wait_until_served
from tests.e2e.test_starting import assert_refuses
from tests.services import fresh_mariadb_database, ipv6_loopback

pytestmark = pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")


@pytest.fixture(autouse=True)
def hangups_are_not_ignored() -> Iterator[None]:
    """Processes that a test starts would ignore SIGHUP too, if the tests themselves run under `nohup`."""
    before = signal.signal(signal.SIGHUP, lambda *_: None)
    yield
    signal.signal(signal.SIGHUP, before)


@contextmanager
def reached(url: str, process: subprocess.Popen[bytes], uds: Path | None = None) -> Iterator[httpx.Client]:
    """Yield a client of a process, once it answers."""
    if uds is not None:
        wait_until_connected(uds, process)
    transport = httpx.HTTPTransport(uds=None if uds is None else str(uds))
    with httpx.Client(base_url=url, transport=transport, timeout=30) as client:
        wait_until_served(client, process)
        yield client


def wait_until_connected(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until a Unix domain socket takes connections. `httpx` would leave sockets open meanwhile."""
    while process.poll() is None:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(process.returncode)


def first_line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode()


@pytest.mark.parametrize(
    ("host", "shown", "reachable", "unreachable"),
    [
        ("127.0.0.1", "127.0.0.1", ["127.0.0.1"], ["[::1]"]),
        ("::1", "[::1]", ["[::1]"], ["127.0.0.1"]),
        ("", "localhost", ["127.0.0.1", "[::1]"], []),
        ("::", "[::]", ["127.0.0.1", "[::1]"], []),
        ("0.0.0.0", "0.0.0.0", ["127.0.0.1"], ["[::1]"]),  # noqa: S104
    ],
)
def test_it_listens_where_it_says(
    tmp_path: Path, host: str, shown: str, reachable: list[str], unreachable: list[str]
) -> None:
    if "[::1]" in reachable:
        ipv6_loopback()
    with running(tmp_path, "--host", host, "--port", "0", stdout=subprocess.PIPE) as process:
        said = first_line(process)
        address = re.match(r"Postline: http://(.+):(\d+)/ \(the API: http://\1:\2/docs\)$", said)
        assert address is not None, said
        assert address[1] == shown
        for each in reachable:
            with reached(f"http://{each}:{address[2]}", process):
                pass
        for each in unreachable:
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"http://{each}:{address[2]}/health/live")


@pytest.mark.parametrize("taken", ["127.0.0.1", "::1"])
def test_a_port_that_is_taken_in_one_family_only_is_one_line(tmp_path: Path, taken: str) -> None:
    if taken == "::1":
        ipv6_loopback()
    with socket.socket(socket.AF_INET6 if ":" in taken else socket.AF_INET) as other:
        other.bind((taken, 0))
        other.listen()
        port = str(other.getsockname()[1])
        assert_refuses(tmp_path, f"can't listen on :{port}: Address already in use", "--host", "", "--port", port)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--port", "80000"], "--port takes a whole number from 0 to 65535"),
        (["--port", "-1"], "--port takes a whole number from 0 to 65535"),
        (["--port", "http"], "--port takes a whole number from 0 to 65535"),
        (["--port", "1", "--web-concurrency", "0"], "--web-concurrency takes a whole number from 1"),
        (["--host", "192.0.2.1"], "can't listen on 192.0.2.1:"),
        (["--host", "2001:db8::1"], "can't listen on [2001:db8::1]:"),
        (["--host", "nowhere.invalid"], "can't listen on nowhere.invalid:"),
        (["--host", "x" * 100], "can't listen on xxx"),
        (["--port", "1", "--fd", "99"], "can't listen on file descriptor 99: Bad file descriptor"),
        (["--port", "1", "--uds", "."], "can't listen on .: Address already in use"),
        (["--port", "1", "--uds", "missing/socket"], "can't listen on missing/socket: No such file or directory"),
        (["--port", "1", "--uds", "x" * 200], "can't listen on xxx"),
    ],
)
def test_where_it_can_not_listen_is_one_line(tmp_path: Path, options: list[str], reason: str) -> None:
    assert_refuses(tmp_path, reason, *options)


def test_more_workers_than_cores_and_one_are_started(tmp_path: Path) -> None:
    workers = (os.cpu_count() or 1) + 2
    with fresh_mariadb_database() as url:
        settings = {"DATABASE_URL": url.render_as_string(hide_password=False)}
        migrate(tmp_path, **settings)
        port = free_port()
        many = settings | {"WEB_CONCURRENCY": str(workers), "DATABASE_POOL_SIZE": "1"}
        with (
            running(tmp_path, "--port", str(port), settings=many) as process,
            reached(f"http://127.0.0.1:{port}", process),
        ):
            process.terminate()
            assert process.wait(STOP_SECONDS) == 0


def test_a_unix_socket_is_served_replaces_one_that_was_left_behind_and_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as abandoned:
        abandoned.bind(str(path))
    with (
        running(tmp_path, "--uds", "socket", stdout=subprocess.PIPE) as process,
        reached("http://postline", process, uds=path),
    ):
        assert first_line(process) == "Postline: unix:socket\n"
        assert_refuses(tmp_path, "can't listen on socket: Address already in use", "--uds", "socket")
        process.terminate()
        assert process.wait(STOP_SECONDS) == 0
    assert not path.exists()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_an_inherited_socket_is_served(tmp_path: Path, family: socket.AddressFamily) -> None:
    with socket.socket(family) as opened:
        opened.bind(("127.0.0.1", 0) if family == socket.AF_INET else str(tmp_path / "socket"))
        opened.listen()
        number = opened.fileno()
        uds = tmp_path / "socket" if family == socket.AF_UNIX else None
        url = "http://postline" if uds else f"http://127.0.0.1:{opened.getsockname()[1]}"
        with running(tmp_path, "--fd", str(number), pass_fds=[number]) as process, reached(url, process, uds):
            process.terminate()
            assert process.wait(STOP_SECONDS) == 0


def wait_until_nobody_serves(url: str) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{url}/health/live")
        except httpx.TransportError:
            return
        time.sleep(0.1)
    raise AssertionError("a server was left behind")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGHUP, 0), (signal.SIGKILL, -9)]
)
def test_with_reload_no_server_is_left_behind(tmp_path: Path, number: signal.Signals, code: int) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running(tmp_path, "--reload", "--port", str(port)) as process, reached(url, process):
        process.send_signal(number)

        assert process.wait(STOP_SECONDS) == code
        wait_until_nobody_serves(url)


def test_with_reload_a_change_is_served_and_slow_clients_are_cut_off(tmp_path: Path) -> None:
    app = tmp_path / "own_app.py"
    source = """
from app.application import create_app as create
from app.server.http_protocol import BoundedProtocol, Deadlines

BoundedProtocol.deadlines = Deadlines(head=0.5)

def create_app():
    application = create()
    application.openapi_config.title = "NAME"
    return application
"""
    app.write_text(source.replace("NAME", "before"))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "litestar", "--app", "own_app:create_app", "run", "--reload", "--port", str(port)]
    env = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    with subprocess.Popen(command, cwd=tmp_path, env=env) as process:
        try:
            with reached(url, process) as client:
                with socket.create_connection(("127.0.0.1", port), timeout=STOP_SECONDS) as slow:
                    slow.sendall(b"GET / HTTP/1.1\r\n")
                    assert slow.recv(1) == b""
                app.write_text(source.replace("NAME", "after"))
                deadline = time.monotonic() + STOP_SECONDS
                title = ""
                while title != "after" and time.monotonic() < deadline:
                    try:
                        title = client.get("/openapi.json").json()["info"]["title"]
                    except httpx.TransportError:
                        time.sleep(0.1)
                assert title == "after"
        finally:
            process.terminate()
            assert process.wait(STOP_SECONDS) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_one_process_stops_gracefully(tmp_path: Path, number: signal.Signals) -> None:
    port = free_port()
    with (
        running(tmp_path, "--port", str(port), stderr=subprocess.PIPE) as process,
        reached(f"http://127.0.0.1:{port}", process),
    ):
        process.send_signal(number)
        _, said = process.communicate(timeout=STOP_SECONDS)

    assert process.returncode == 0
    assert b"Finished server process" in said


def test_workers_end_with_the_process_that_started_them_however_it_ends(tmp_path: Path) -> None:
    with fresh_mariadb_database() as url:
        settings = {"DATABASE_URL": url.render_as_string(hide_password=False), "WEB_CONCURRENCY": "2"}
        migrate(tmp_path, **settings)
        port = free_port()
        with (
            running(tmp_path, "--port", str(port), settings=settings) as process,
            reached(f"http://127.0.0.1:{port}", process),
        ):
            process.kill()
            wait_until_nobody_serves(f"http://127.0.0.1:{port}")
