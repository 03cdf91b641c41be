"""Traces: from a request through its commit to the durable listeners of its events, as a collector gets them."""

import asyncio
import sys
from collections.abc import Sequence

import pytest
from litestar import Litestar
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from app.application import create_app
from app.settings import Environment, Settings
from app.telemetry.tracing import NoTracing, create_tracing
from events.relay import DurableListener
from events.types import PostEvent
from tests.api.conftest import Log, serve
from tests.api.people import Person
from tests.receiver import Receiver, receiving

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collected:
    """The spans that a collector was sent, by their names."""

    def __init__(self, receiver: Receiver) -> None:
        self.text = b"".join(request.body for request in receiver.received)
        self.spans: dict[str, list[Span]] = {}
        self.services = set[str]()
        for request in receiver.received:
            sent = ExportTraceServiceRequest.FromString(request.body)  # type: ignore[no-untyped-call]
            for resource in sent.resource_spans:
                attributes = {each.key: each.value.string_value for each in resource.resource.attributes}
                self.services.add(attributes["service.name"])
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        self.spans.setdefault(span.name, []).append(span)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    with receiving() as receiver:
        receiver.body = b""
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", receiver.url)
        yield receiver


async def test_a_request_is_followed_to_its_durable_listeners(collector: Receiver, settings: Settings) -> None:
    taken = asyncio.Event()

    async def take(_: Sequence[PostEvent]) -> None:
        taken.set()

    async with serve(create_app(settings, durable_listeners=[DurableListener("index", take)])) as client:
        ada = await Person.sign_up(client, "ada@example.com")
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        post = await ada.request("POST", "/posts", json={"text": "a text to keep quiet"}, headers=headers)
        async with asyncio.timeout(10):
            await taken.wait()
        await ada.get(f"/posts/{post.json()['postID']}?keep=quiet")

    collected = Collected(collector)
    (added,) = collected.spans["POST /posts"]
    assert (added.trace_id.hex(), added.parent_span_id.hex()) == (TRACE, PARENT)
    assert {each.key: each.value.string_value or each.value.int_value for each in added.attributes} == {
        "http.request.method": "POST",
        "http.route": "/posts",
        "http.response.status_code": 201,
    }
    commits = [span for span in collected.spans["commit"] if span.parent_span_id == added.span_id]
    assert [commit.trace_id.hex() for commit in commits] == [TRACE]
    (delivered,) = collected.spans["deliver index"]
    assert [(link.trace_id.hex(), link.span_id) for link in delivered.links] == [(TRACE, added.span_id)]
    assert delivered.start_time_unix_nano > commits[0].start_time_unix_nano
    assert collected.services == {"postline"}
    assert "GET /posts/{postID}" in collected.spans
    for hidden in ("quiet", ada.email, post.json()["postID"], ada.tokens["access_token"]):
        assert hidden.encode() not in collected.text


async def test_what_fails_is_marked_without_what_it_said(
    collector: Receiver, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(settings)

    def broken() -> None:
        raise RuntimeError("a thing to keep quiet")

    async with serve(app) as client:
        ada = await Person.sign_up(client, "ada@example.com")
        monkeypatch.setattr(app.state.service.database, "writing", broken)
        await ada.request("POST", "/posts", json={"text": "hello"})

    collected = Collected(collector)
    (failed,) = collected.spans["POST /posts"]
    assert failed.status.code == Status.StatusCode.STATUS_CODE_ERROR
    assert b"quiet" not in collected.text


@pytest.fixture
def app(collector: Receiver, settings: Settings) -> Litestar:
    return create_app(settings.model_copy(update={"environment": Environment.PRODUCTION}))


async def test_lines_of_the_log_name_the_span(collector: Receiver, app: Litestar, log: Log) -> None:
    async with serve(app) as client:
        ada = await Person.sign_up(client, "ada@example.com")
        await ada.add("hello")

    (added,) = Collected(collector).spans["POST /posts"]
    (line,) = [line for line in log.lines() if line.get("route") == "/posts"]
    assert (line["trace_id"], line["span_id"]) == (added.trace_id.hex(), added.span_id.hex())


@pytest.mark.parametrize("value", ["", "none"])
def test_nothing_is_followed_unless_asked_for(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", value)

    assert isinstance(create_tracing(), NoTracing)


def test_opentelemetrys_own_switch_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")

    assert isinstance(create_tracing(), NoTracing)


def test_without_the_extra_the_service_starts_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.delitem(sys.modules, "app.telemetry.opentelemetry_tracing", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    assert isinstance(create_tracing(), NoTracing)
    assert "telemetry" in caplog.text
