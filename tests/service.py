"""The service without HTTP, on a database of the tests."""

from pathlib import Path
from typing import Any

from app.database.engines import Database
from app.service import Service, build_service
from app.telemetry.tracing import NoTracing
from tests.conftest import settings_for


def service_on(database: Database, *, settings: dict[str, Any] | None = None, **parts: Any) -> Service:
    """Return the service on the database, with some settings changed and some parts replaced."""
    changed = settings_for(database.url, Path("unused")).model_copy(update=settings or {})
    parts.setdefault("tracing", NoTracing())
    return build_service(changed, database=database, **parts)
