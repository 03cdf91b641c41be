"""The log: what each line tells, and what none ever does."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from httpx import AsyncClient
from litestar import Litestar
from sqlalchemy.exc import OperationalError

from app.application import create_app
from app.settings import Environment, Settings
from models import SignUp, UserRead
from tests.api.conftest import Log
from tests.api.people import PASSWORD, Person

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

# Whatever the database is.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def quiet_client(caplog: pytest.LogCaptureFixture) -> None:
    """Keep the tests' own client, which writes paths, out of what the service logs."""
    caplog.set_level(logging.WARNING, logger="httpx")


@pytest.fixture
def app(settings: Settings) -> Litestar:
    return create_app(settings.model_copy(update={"environment": Environment.PRODUCTION}))


async def test_a_line_tells_of_a_request_what_is_needed_to_follow_it(log: Log, ada: Person) -> None:
    user_id = (await ada.get("/me")).json()["user_id"]
    log.lines()

    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "mine"}
    post_id = await ada.add("hello")
    await ada.request("DELETE", f"/posts/{post_id}", headers=headers)

    added, deleted = log.lines()
    assert (added["method"], added["route"], added["status"]) == ("POST", "/posts", 201)
    span_id = deleted.pop("span_id")
    assert len(span_id) == 16
    assert span_id != PARENT
    assert 0 < deleted.pop("duration") < 5
    assert deleted.pop("timestamp").endswith("Z")
    assert deleted == {
        "event": "request",
        "level": "info",
        "logger": "app.telemetry.request_metrics",
        "request_id": "mine",
        "trace_id": TRACE,
        "user_id": user_id,
        "method": "DELETE",
        "route": "/posts/{postID}",
        "status": 204,
    }


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        f"00-{TRACE}-{PARENT}",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
    ],
)
async def test_a_trace_that_is_none_is_not_continued(log: Log, client: AsyncClient, traceparent: str) -> None:
    await client.get("/nope", headers={"traceparent": traceparent})

    (line,) = log.lines()
    assert len(line["trace_id"]) == 32
    assert line["trace_id"].lower() != TRACE


async def test_reads_that_succeed_quickly_are_not_logged(log: Log, client: AsyncClient, ada: Person) -> None:
    log.lines()

    await ada.get("/posts")
    await ada.get("/me")
    await client.get("/posts")

    assert [(line["route"], line["status"]) for line in log.lines()] == [("/posts", 401)]


class TestWithEveryRequestLogged:
    @pytest.fixture(params=[Environment.PRODUCTION, Environment.DEVELOPMENT])
    def app(self, request: pytest.FixtureRequest, settings: Settings) -> Litestar:
        return create_app(settings.model_copy(update={"environment": request.param, "access_log_seconds": 0}))

    async def test_no_secret_is_logged_wherever_it_stands(
        self,
        app: Litestar,
        log: Log,
        client: AsyncClient,
        ada: Person,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        secret = "hunter2"
        form = {"email": f"{secret}@example.com", "password": f"{secret} is my password"}
        everywhere = [
            (name, f"{secret} {number}".encode())
            for number, name in enumerate(
                (b"authorization", b"cookie", b"idempotency-key", b"if-match", b"if-none-match", b"last-event-id",
                 b"referer", b"traceparent", b"user-agent", b"x-forwarded-for", b"x-request-id", b"origin", b"host"),
            )
        ]  # fmt: skip
        authorized = {"authorization": f"Bearer {ada.tokens['access_token']}"}

        await client.post("/auth/signup", json=form | {"invite": secret})
        await client.post("/auth/signup", json=form)
        await client.post("/auth/login", json=form | {"password": secret})
        await client.post("/auth/login", content=secret.encode(), headers={"content-type": f"text/{secret}"})
        await client.post("/auth/login", content=f'{{"{secret}'.encode(), headers={"content-type": "application/json"})
        await client.post("/auth/refresh", json={"refresh_token": secret})
        await client.post("/auth/refresh", json={"refresh_token": ada.tokens["refresh_token"]})
        await client.request(secret.upper(), f"/{secret}?{secret}={secret}")
        await client.get(f"/posts/{secret}", headers=authorized)
        await client.get(f"/posts?limit={secret}", headers=authorized)
        await client.post("/posts", json={"text": secret}, headers=authorized)
        await client.post("/posts", json={secret: secret}, headers=authorized)
        await client.get(f"/docs/assets/{secret}%00")
        for method, path in (("GET", "/posts"), ("POST", "/posts"), ("GET", "/posts/events"), ("GET", f"/{secret}")):
            await client.request(method, path, headers=everywhere)
            await client.request(method, path, headers=[*everywhere[1:], (b"authorization", b"Bearer " + b"x" * 99)])
        for failure in (
            RuntimeError(),
            OperationalError(f"SELECT '{secret}'", {"password": secret}, Exception(2013)),
            *quoting(secret),
        ):
            monkeypatch.setattr(app.state.service.database, "writing", raising(failure))
            assert (await ada.request("POST", "/posts", json={"text": secret})).status_code >= 500

        logged = log.take()
        assert logged.count("/posts") >= 8
        assert "Traceback" in logged
        tokens = (ada.tokens["access_token"], ada.tokens["refresh_token"], "x" * 99)
        for hidden in (secret, secret.upper(), PASSWORD, ada.email, *tokens):
            assert hidden not in logged

    async def test_reads_are_logged_too(self, log: Log, ada: Person) -> None:
        log.take()

        await ada.get("/posts")

        assert log.take().count("/posts") == 1


def quoting(value: str) -> Iterator[Exception]:
    """Yield exceptions whose messages hold the value: alone, as the cause of another, and in a group."""
    provoking: list[Callable[[], object]] = [
        lambda: SignUp(email=value, password=value),
        lambda: UserRead.model_validate({"email": value}),
        lambda: int(value),
        lambda: dict[str, str]()[value],
        f"{value}\ud800".encode,
        lambda: msgspec.convert({value: value}, dict[str, int]),
    ]
    for provoke in provoking:
        try:
            provoke()
        except (ValueError, LookupError, msgspec.MsgspecError) as error:
            yield error
            outer = RuntimeError("could not go on")
            outer.__cause__ = error
            yield outer
            yield ExceptionGroup("several", [error])


def raising(failure: Exception) -> Any:
    def fail() -> None:
        raise failure

    return fail


async def test_other_lines_are_of_the_request_they_were_written_for(
    app: Litestar, log: Log, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.lines()
    monkeypatch.setattr(app.state.service.database, "writing", raising(RuntimeError("the details of it")))

    response = await ada.request("POST", "/posts", json={"text": "hello"})

    failure, request = log.lines()
    assert (failure["event"], failure["level"]) == ("a request failed", "error")
    assert "the details of it" in failure["exception"]
    for line in (failure, request):
        assert line["request_id"] == response.headers["x-request-id"]
        assert (line["trace_id"], line["span_id"]) == (request["trace_id"], request["span_id"])


async def test_lines_outside_of_requests_tell_of_none(log: Log, client: AsyncClient) -> None:
    await client.post("/nope")
    log.lines()

    logging.getLogger("some.library").warning("all is %s", "well")

    (line,) = log.lines()
    assert line.pop("timestamp")
    assert line == {"event": "all is well", "level": "warning", "logger": "some.library"}
