"""`/health`: for those who watch the service, not for those who use it."""

import asyncio
from typing import Literal

from litestar import Controller, get
from litestar.di import NamedDependency
from msgspec import Struct
from sqlalchemy.exc import SQLAlchemyError

from app import schema
from app.database import Database
from app.errors import NotReady
from controllers.documentation import problems

_ANSWER_SECONDS = 3


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
            "Asks the database whether it answers and has every migration. `degraded` says that Redis is set up and "
            "does not serve at the moment, so the database answers in its place."
        ),
        response_description="It can.",
        responses=problems(503),
    )
    async def ready(self, database: NamedDependency[Database], is_degraded: NamedDependency[bool]) -> Health:
        """Answer `GET /health/ready`."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                is_current = await schema.is_current(database)
        except (SQLAlchemyError, OSError, TimeoutError):
            raise NotReady("The database does not answer.") from None
        if not is_current:
            raise NotReady("Migrations are missing: run `alembic upgrade head`.")
        return Health("degraded" if is_degraded else "ok")
