"""Tracing with OpenTelemetry.

Litestar's own plugin would put the path and the query into each span. Here a span holds no more than a log line may.
"""

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send
from opentelemetry import propagate
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from typing_extensions import override

from app.telemetry.request_context import current_request
from app.telemetry.tracing import Tracing
from events.relay import DurableListener
from events.types import PostEvent

_TRACE_CONTEXT = TraceContextTextMapPropagator()


class OpenTelemetryTracing(Tracing):
    """Traces that are exported as OpenTelemetry's environment variables say.

    `OTEL_TRACES_EXPORTER` is `otlp`, over HTTP, or `console`.
    """

    def __init__(self) -> None:
        named = "OTEL_SERVICE_NAME" in os.environ
        self._provider = TracerProvider(resource=Resource.create({} if named else {"service.name": "postline"}))
        to_console = os.environ.get("OTEL_TRACES_EXPORTER") == "console"
        self._provider.add_span_processor(
            BatchSpanProcessor(ConsoleSpanExporter() if to_console else OTLPSpanExporter())
        )
        self._tracer = self._provider.get_tracer("postline")

    @override
    def middleware(self, app: ASGIApp) -> ASGIApp:

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            request = current_request.get()
            if scope["type"] != ScopeType.HTTP or request is None:
                await app(scope, receive, send)
                return
            carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            with self._span(request.method, kind=SpanKind.SERVER, context=propagate.extract(carrier)) as span:
                own = span.get_span_context()
                request.trace = f"{own.trace_id:032x}", f"{own.span_id:016x}"
                try:
                    await app(scope, receive, send)
                finally:
                    span.update_name(f"{request.method} {request.route}")
                    span.set_attributes(
                        {
                            "http.request.method": request.method,
                            "http.route": request.route,
                            "http.response.status_code": request.status,
                        }
                    )
                    if request.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                        span.set_status(StatusCode.ERROR)

        return traced

    @override
    @contextmanager
    def commit(self) -> Iterator[None]:
        with self._span("commit"):
            yield

    @override
    def mark(self, event: PostEvent) -> PostEvent:
        carrier: dict[str, str] = {}
        _TRACE_CONTEXT.inject(carrier)
        return msgspec.structs.replace(event, traceparent=carrier.get("traceparent"))

    @override
    def listener(self, listener: DurableListener) -> DurableListener:

        async def take(events: Sequence[PostEvent]) -> None:
            # The events may come from several requests, which have ended: so they are links, not parents.
            links = [Link(origin) for event in events if (origin := _origin(event)) is not None]
            with self._span(f"deliver {listener.name}", kind=SpanKind.CONSUMER, links=links) as span:
                span.set_attribute("messaging.batch.message_count", len(events))
                await listener.take(events)

        return replace(listener, take=take)

    @override
    async def close(self) -> None:
        await asyncio.to_thread(self._provider.shutdown)

    @contextmanager
    def _span(self, name: str, **options: Any) -> Iterator[Span]:
        # The exception's message may be secret. Its type is not.
        options |= {"record_exception": False, "set_status_on_exception": False}
        with self._tracer.start_as_current_span(name, **options) as span:
            try:
                yield span
            except Exception as error:
                span.set_status(StatusCode.ERROR, type(error).__name__)
                raise


def _origin(event: PostEvent) -> SpanContext | None:
    """Return the span of the request that made the change, if it was traced."""
    if event.traceparent is None:
        return None
    carried = _TRACE_CONTEXT.extract({"traceparent": event.traceparent})
    return get_current_span(carried).get_span_context()
