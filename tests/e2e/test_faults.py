"""A database that is away, hangs, refuses or is full: 503 in time meanwhile, and all is well once it is back."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import httpx
import pytest

from tests.e2e.server import Client, Server, migrate, serving
from tests.mariadb_server import MariaDBServer, mariadb_server
from tests.proxy import Proxy, proxy_to

TIMEOUT_SECONDS = 1
ANSWERED_WITHIN = 8
WELL_WITHIN = 5


class Deployment(NamedTuple):
    """The service, which reaches its database through a proxy."""

    server: Server
    database: MariaDBServer
    proxy: Proxy


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("mariadb")
    with mariadb_server(folder) as database, proxy_to(database.port) as proxy:
        settings = {
            "DATABASE_URL": database.url(proxy.port).render_as_string(hide_password=False),
            "DATABASE_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS),
        }
        migrate(folder, **settings)
        with serving(folder, settings=settings) as server:
            yield Deployment(server, database, proxy)


@pytest.fixture
def deployment(started: Deployment) -> Iterator[Deployment]:
    """The same for all tests, each of which leaves it well, and with no error in its log that nobody expected."""
    yield started
    assert "Traceback" not in started.server.output()


def be_paused(of: Deployment) -> Callable[[], None]:
    of.database.pause()
    return of.database.resume


def be_killed(of: Deployment) -> Callable[[], None]:
    of.database.kill()
    return of.database.start


def refuse(of: Deployment) -> Callable[[], None]:
    of.proxy.does = "refuse"
    return lambda: setattr(of.proxy, "does", "pass")


def hang(of: Deployment) -> Callable[[], None]:
    of.proxy.does = "hang"
    return lambda: setattr(of.proxy, "does", "pass")


def be_slow(of: Deployment) -> Callable[[], None]:
    of.proxy.delay = 2 * TIMEOUT_SECONDS
    return lambda: setattr(of.proxy, "delay", 0)


def test_a_database_that_is_a_little_slow_is_waited_for(deployment: Deployment) -> None:
    person = Client.sign_up(deployment.server.url, "patient@example.com")
    deployment.proxy.delay = 0.05
    try:
        person.add("slowly")
        assert [post["text"] for post in person.list()] == ["slowly"]
    finally:
        deployment.proxy.delay = 0


@pytest.mark.parametrize("fault", [be_killed, be_paused, refuse, hang, be_slow])
def test_a_database_that_does_not_answer_is_503_in_time_until_it_is_back(
    deployment: Deployment, fault: Callable[[Deployment], Callable[[], None]]
) -> None:
    person = Client.sign_up(deployment.server.url, f"{fault.__name__}@example.com")
    kept = [person.add("before")]

    mend = fault(deployment)
    try:
        # More than there are connections, twice: those that were open, and those that can't be made.
        for _ in range(2):
            assert_all_503(person)
        assert httpx.get(f"{person.url}/health/live").status_code == 200
        assert httpx.get(f"{person.url}/health/ready", timeout=ANSWERED_WITHIN).status_code == 503
    finally:
        mend()

    wait_until_ready(deployment.server)
    kept.append(person.add("after"))
    ids = [post["postID"] for post in person.list()]
    assert {kept[0], kept[1]} <= set(ids)


def test_a_large_text_for_a_database_that_hangs_is_503_in_time(deployment: Deployment) -> None:
    # More than fits between here and there, so that the service can't even send it.
    person = Client.sign_up(deployment.server.url, "large@example.com")
    with ThreadPoolExecutor(8) as pool:
        held_up = pool.map(lambda _: timed(person, "POST", "/posts", {"text": "x" * 1_000_000}), range(8))
        time.sleep(0.02)
        mend = be_paused(deployment)
        try:
            answers = list(held_up)
        finally:
            mend()
    assert {status for status, _ in answers} <= {201, 503}
    assert max(seconds for _, seconds in answers) < ANSWERED_WITHIN
    wait_until_ready(deployment.server)


def test_a_database_that_is_started_again_under_load_loses_nothing_that_was_acknowledged(
    deployment: Deployment,
) -> None:
    people = [Client.sign_up(deployment.server.url, f"writer{number}@example.com") for number in range(4)]
    statuses, kept, stop = set[int](), {person.email: list[str]() for person in people}, threading.Event()

    def write(person: Client) -> None:
        while not stop.is_set():
            response = person.request("POST", "/posts", json={"text": "under load"})
            statuses.add(response.status_code)
            if response.status_code == 201:
                kept[person.email].append(response.json()["postID"])

    with ThreadPoolExecutor(len(people)) as pool:
        writers = [pool.submit(write, person) for person in people]
        try:
            time.sleep(0.3)
            mend = be_killed(deployment)
            time.sleep(0.3)
            mend()
            wait_until_ready(deployment.server)
            time.sleep(0.3)
        finally:
            stop.set()
        for writer in writers:
            writer.result()

    assert statuses == {201, 503}
    for person in people:
        assert set(kept[person.email]) <= {post["postID"] for post in person.list()}


def test_a_database_that_is_read_only_is_read_and_not_ready(deployment: Deployment) -> None:
    person = Client.sign_up(deployment.server.url, "reader@example.com")
    person.add("before")

    deployment.database.execute("SET GLOBAL read_only = ON")
    try:
        assert timed(person, "POST", "/posts", {"text": "refused"})[0] == 503
        assert [post["text"] for post in person.list()] == ["before"]
        time.sleep(1)  # that it was well holds so long
        response = httpx.get(f"{person.url}/health/ready")
        assert (response.status_code, response.json()["detail"]) == (503, "The database takes no changes.")
    finally:
        deployment.database.execute("SET GLOBAL read_only = OFF")

    person.add("after")
    wait_until_ready(deployment.server)


def test_a_lock_that_somebody_holds_is_503_in_time_and_stops_nobody_else(deployment: Deployment) -> None:
    held_up = Client.sign_up(deployment.server.url, "held-up@example.com")
    other = Client.sign_up(deployment.server.url, "other@example.com")
    held_up.add("before")

    with deployment.database.holding("SELECT * FROM users WHERE email = 'held-up@example.com' FOR UPDATE"):
        status, seconds = timed(held_up, "PATCH", f"/posts/{held_up.list()[0]['postID']}", {"text": "changed"})
        assert (status, seconds < ANSWERED_WITHIN) == (503, True)
        other.add("undisturbed")

    held_up.add("after")


def timed(person: Client, method: str, path: str, body: dict[str, str] | None = None) -> tuple[int, float]:
    """Return an answer's status, and how long it took; one that is 503 must say when to come back."""
    began = time.monotonic()
    response = person.request(method, path, json=body)
    if response.status_code == 503:
        assert response.headers["content-type"] == "application/problem+json"
        assert int(response.headers["retry-after"]) > 0
    return response.status_code, time.monotonic() - began


def assert_all_503(person: Client) -> None:
    requests: list[tuple[str, str, dict[str, str] | None]] = [
        ("GET", "/posts", None),
        ("GET", "/me", None),
        ("GET", "/me/export", None),
        ("POST", "/posts", {"text": "in vain"}),
        ("POST", "/auth/login", {"email": person.email, "password": "correct horse battery"}),
    ]
    with ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(lambda request: timed(person, *request), requests * 5))
    assert {status for status, _ in answers} == {503}
    assert max(seconds for _, seconds in answers) < ANSWERED_WITHIN


def wait_until_ready(server: Server) -> None:
    deadline = time.monotonic() + WELL_WITHIN
    while httpx.get(f"{server.url}/health/ready", timeout=WELL_WITHIN).status_code != 200:
        assert time.monotonic() < deadline, server.output()
        time.sleep(0.05)
