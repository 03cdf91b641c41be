"""`/health`: for those who watch the service, not for those who use it."""

from typing import Literal

from litestar import Controller, get
from litestar.di import NamedDependency
from msgspec import Struct

from app.readiness import Readiness
from controllers.documentation import problems


class Health(Struct):
    """How the service is: `degraded` where it serves everything, though not as fast as it could."""

    status: Literal["ok", "degraded"] = "ok"


class HealthController(Controller):
    """Whether the process runs, and whether it can serve."""

    path = "/health"
    tags = ["Health"]
    opt = {"exclude_from_auth": True}

    @get(
        "/live",
        operation_id="isLive",
        summary="Does the process run?",
        description="Needs nothing but the process.",
        response_description="It does.",
    )
    async def live(self) -> Health:
        """Answer `GET /health/live`."""
        return Health()

    @get(
        "/ready",
        operation_id="isReady",
        summary="Can the process serve?",
        description=(
            "Asks the database whether it answers, has every migration and takes changes. `degraded` says that Redis "
            "is set up and does not serve at the moment, so the database answers in its place."
        ),
        response_description="It can.",
        responses=problems(503),
    )
    async def ready(self, readiness: NamedDependency[Readiness], is_degraded: NamedDependency[bool]) -> Health:
        """Answer `GET /health/ready`."""
        await readiness.check()
        return Health("degraded" if is_degraded else "ok")
