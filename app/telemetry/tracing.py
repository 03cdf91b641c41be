"""Tracing as an extra: who follows requests through the service, if anybody does."""

import logging
import os
from typing import Protocol

from litestar.types import ASGIApp

from app.ports.transactions import Units
from events.relay import DurableListener

logger = logging.getLogger(__name__)

_VARIABLES = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Tracing(Protocol):
    """Follows a request from its beginning through its commit to the durable listeners of its events."""

    def requests(self, app: ASGIApp) -> ASGIApp:
        """Return the application, followed."""
        ...

    def units(self, units: Units) -> Units:
        """Return the units of work, each commit followed, and each event marked with whose it is."""
        ...

    def listener(self, listener: DurableListener) -> DurableListener:
        """Return the listener, followed where it takes events."""
        ...

    async def close(self) -> None:
        """Send what has not been sent yet."""


class NoTracing:
    """The port `Tracing` where nobody asks for traces: everything is as it was, and costs nothing."""

    def requests(self, app: ASGIApp) -> ASGIApp:
        """See `Tracing.requests`."""
        return app

    def units(self, units: Units) -> Units:
        """See `Tracing.units`."""
        return units

    def listener(self, listener: DurableListener) -> DurableListener:
        """See `Tracing.listener`."""
        return listener

    async def close(self) -> None:
        """See `Tracing.close`."""


def create_tracing() -> Tracing:
    """Return what OpenTelemetry's environment variables ask for; it takes the extra `telemetry`."""
    is_wanted = any(os.environ.get(name, "none") not in {"", "none"} for name in _VARIABLES)
    if not is_wanted or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return NoTracing()
    try:
        from app.telemetry.opentelemetry_tracing import OpenTelemetryTracing  # noqa: PLC0415 - it may not be installed
    except ModuleNotFoundError:
        logger.warning("the environment asks for traces, but the extra `telemetry` is not installed")
        return NoTracing()
    return OpenTelemetryTracing()
