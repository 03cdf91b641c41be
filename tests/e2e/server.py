"""The service as a process of its own, started as an operator would."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Self

import httpx

from app.settings import Settings
from tests import memory

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
STOP_SECONDS = 20


# Bound sockets that don't listen, by their descriptors.
_held = deque[int]()
_MAX_HELD = 200


def free_port() -> int:
    """Return a port for a server to listen on, which no other test gets before 200 more were asked for.

    A socket stays bound to it until then, so the system assigns it to nobody. A server can still listen on it, because
    servers set SO_REUSEADDR.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    port: int = held.getsockname()[1]
    if len(_held) == _MAX_HELD:
        os.close(_held.popleft())
    _held.append(held.detach())
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do, which connections that have ended don't keep from a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def environment(**settings: str) -> dict[str, str]:
    """Return this process's environment without settings of the service but these."""
    bare = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    return (
        bare
        | {
            "PYTHONPATH": str(ROOT),
            # As `make run` has it: the service reads .env itself, and Litestar would end in a traceback if it can't.
            "PYTHON_DOTENV_DISABLED": "1",
            "ARGON2_MEMORY_KIB": "8",
            "ARGON2_ITERATIONS": "1",
            "AUTH_RATE_LIMIT": "10000/minute",
        }
        | settings
    )


def run(*command: str, cwd: Path, typed: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command line of the checkout's tools to its end, in a folder of its own, with this standard input."""
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=cwd,
        env=environment(**settings),
        input=typed,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


def migrate(folder: Path, **settings: str) -> None:
    """Bring the database of these settings to the newest migration."""
    ended = run("alembic", "-c", str(ROOT / "alembic.ini"), "upgrade", "head", cwd=folder, **settings)
    assert ended.returncode == 0, ended.stderr


class Server:
    """A started server; its folder is where it keeps its data."""

    def __init__(
        self,
        folder: Path,
        port: int,
        workers: int,
        settings: dict[str, str],
        app: str,
        *,
        unix_socket: Path | None = None,
    ) -> None:
        self._unix_socket = unix_socket
        self.http = _http if unix_socket is None else _client_of(unix_socket)
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`
        if workers == 1:
            command = ["litestar", "--app-dir", str(ROOT), "--app", app, "run"]
            command += ["--port", str(port)] if unix_socket is None else ["--uds", str(unix_socket)]
        else:
            command = ["uvicorn", app, "--factory", "--port", str(port)]
            command += ["--http", "app.server.http_protocol:BoundedProtocol", "--workers", str(workers)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=environment(**settings),
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait_until_ready(self) -> Self:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.output()
            try:
                if self._unix_socket is not None:
                    _probe(self._unix_socket)
                if self.http.get(f"{self.url}/health/ready").status_code == 200:
                    return self
            except (httpx.TransportError, OSError):
                time.sleep(0.1)
        raise AssertionError(self.output())

    def output(self) -> str:
        # Not `seek` and `read`: the process writes where this file's position is, which it shares.
        return os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0).decode()

    def wait_for_lines(self, text: str, count: int = 1) -> list[str]:
        """Wait until the output has so many lines with this text, and return them; a thread of its own writes them."""
        deadline = time.monotonic() + START_SECONDS
        while len(found := [line for line in self.output().splitlines() if text in line]) < count:
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.05)
        return found

    def reset_peak_memory(self) -> int:
        """Forget the peak of the process's resident memory, and return what it is now, in bytes."""
        return memory.reset_peak(self.process.pid)

    def peak_memory(self) -> int:
        """Return the most that was resident since the reset, in bytes."""
        return memory.peak(self.process.pid)

    def kill(self) -> None:
        """End the process, and the workers it started, without warning."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(STOP_SECONDS)
        # Nobody waits for the workers, and the port is theirs until they have ended too.
        deadline = time.monotonic() + STOP_SECONDS
        while not _is_free(self._port):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
        if self._unix_socket is not None:
            self.http.close()
        self._log.close()


@contextmanager
def running(
    folder: Path,
    *options: str,
    settings: dict[str, str] | None = None,
    stdout: IO[str] | int | None = None,
    stderr: IO[str] | int | None = None,
    pass_fds: Sequence[int] = (),
    preexec_fn: Callable[[], None] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start `litestar run` with these options and settings, and end it if the test does not."""
    command = [sys.executable, "-m", "litestar", "--app-dir", str(ROOT), "--app", "app.application:create_app", "run"]
    with subprocess.Popen(
        [*command, *options],
        cwd=folder,
        env=environment(**(settings or {})),
        start_new_session=True,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        preexec_fn=preexec_fn,  # noqa: PLW1509 - tests start no threads that it could wait for
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def wait_until_served(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    """Wait until a process that was started answers."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"it ended with {process.returncode}"
        try:
            if client.get("/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("it does not answer")


@contextmanager
def serving(
    folder: Path,
    *,
    port: int | None = None,
    workers: int = 1,
    settings: dict[str, str] | None = None,
    app: str = "app.application:create_app",
    unix_socket: Path | None = None,
) -> Iterator[Server]:
    """Start the service in a folder, at a port or a Unix socket, and yield it when it is ready."""
    server = Server(folder, port or free_port(), workers, settings or {}, app, unix_socket=unix_socket)
    try:
        yield server.wait_until_ready()
    finally:
        server.stop()


def _probe(unix_socket: Path) -> None:
    # httpx leaves a Unix socket open that it could not connect.
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(unix_socket))


def _client_of(unix_socket: Path) -> httpx.Client:
    return httpx.Client(transport=httpx.HTTPTransport(uds=str(unix_socket)), timeout=30)


# Each request is a connection of its own, which any worker may take. The header says so, and not the client's limits:
# with these, a thread may close the connection that another one has just been given.
_http = httpx.Client(verify=False, timeout=30, headers={"Connection": "close"})  # noqa: S501


class Client:
    """Someone with an account on a started server."""

    def __init__(self, url: str, email: str, tokens: dict[str, str]) -> None:
        self.url = url
        self.email = email
        self.tokens = tokens

    @classmethod
    def sign_up(cls, url: str, email: str, password: str = "correct horse battery") -> Self:
        response = _http.post(f"{url}/auth/signup", json={"email": email, "password": password})
        assert response.status_code == 201, response.text
        return cls(url, email, response.json())

    def at(self, url: str) -> Self:
        """Return the same person, who sends requests to another URL."""
        return type(self)(url, self.email, self.tokens)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {
            "authorization": f"Bearer {self.tokens['access_token']}",
            "content-type": "application/json",
            **options.pop("headers", {}),
        }
        return _http.request(method, f"{self.url}{path}", headers=headers, **options)

    def add(self, text: str) -> str:
        response = self.request("POST", "/posts", json={"text": text})
        assert response.status_code == 201, response.text
        post_id: str = response.json()["postID"]
        return post_id

    def list(self) -> list[dict[str, str]]:
        response = self.request("GET", "/posts")
        assert response.status_code == 200, response.text
        posts: list[dict[str, str]] = response.json()
        return posts
