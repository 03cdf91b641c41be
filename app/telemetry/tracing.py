"""Distributed tracing, which the extra `telemetry` adds."""

import logging
import os
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from litestar.types import ASGIApp
from typing_extensions import override

from app.storage.unit_of_work import CommitTracing
from events.relay import DurableListener
from events.types import PostEvent

logger = logging.getLogger(__name__)

_VARIABLES = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Tracing(CommitTracing, Protocol):
    """Follows a request from its beginning through its commit to the durable listeners of its events."""

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Return the application, with a span for each request."""
        ...

    def listener(self, listener: DurableListener) -> DurableListener:
        """Return the listener, with a span for each batch of events that it takes."""
        ...

    async def close(self) -> None:
        """Export the spans that are not exported yet."""


class NoTracing(Tracing):
    """Tracing that is switched off, and costs nothing."""

    @override
    def middleware(self, app: ASGIApp) -> ASGIApp:
        return app

    @override
    def commit(self) -> AbstractContextManager[None]:
        return nullcontext()

    @override
    def mark(self, event: PostEvent) -> PostEvent:
        return event

    @override
    def listener(self, listener: DurableListener) -> DurableListener:
        return listener

    @override
    async def close(self) -> None:
        pass


def create_tracing() -> Tracing:
    """Return the tracing that OpenTelemetry's environment variables ask for."""
    is_wanted = any(os.environ.get(name, "none") not in {"", "none"} for name in _VARIABLES)
    if not is_wanted or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return NoTracing()
    try:
        from app.telemetry.opentelemetry_tracing import OpenTelemetryTracing  # noqa: PLC0415 - it may not be installed
    except ModuleNotFoundError:
        logger.warning("the environment asks for traces, but the extra `telemetry` is not installed")
        return NoTracing()
    return OpenTelemetryTracing()
