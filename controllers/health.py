"""`/health`: liveness and readiness."""

from typing import ClassVar, Literal

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.openapi.spec import Tag
from msgspec import Struct

from app.auth.jwt_auth import PUBLIC
from app.http.hosts import ANY_HOST
from app.server.readiness import Readiness
from controllers.documentation import problems


class Health(Struct):
    """The state of the service: `degraded` means that it serves every request, but an operator should know something.

    Redis is unavailable, or a later version of the service has migrated the database.
    """

    example: ClassVar[dict[str, str]] = {"status": "ok"}

    status: Literal["ok", "degraded"] = "ok"


TAG = Tag(name="Health", description="Liveness, readiness and metrics, for monitoring.")


class HealthController(Controller):
    """Reports liveness and readiness."""

    path = "/health"
    tags = [TAG.name]
    opt = PUBLIC | ANY_HOST

    @get(
        "/live",
        operation_id="isLive",
        summary="Check liveness",
        description="Answers as long as the process runs, even if the database is down.",
        response_description="The process runs.",
    )
    async def live(self) -> Health:
        """Answer `GET /health/live`."""
        return Health()

    @get(
        "/ready",
        operation_id="isReady",
        summary="Check readiness",
        description=(
            "Checks that the database answers, has every migration and accepts writes. `degraded` means that Redis is "
            "configured but unavailable, so that each process counts rate limits on its own, or that a later version "
            "of the service has migrated the database."
        ),
        response_description="The process can serve requests.",
        responses=problems(503),
    )
    async def ready(self, readiness: NamedDependency[Readiness]) -> Health:
        """Answer `GET /health/ready`."""
        await readiness.check()
        return Health("degraded" if readiness.is_degraded else "ok")
