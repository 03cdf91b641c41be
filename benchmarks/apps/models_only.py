"""The minimum of a service: bare Litestar, and Postline's SQLModel models imported."""

from litestar import Litestar, get

import models

TABLES = len(models.User.metadata.tables)


@get("/health/ready")
async def ready() -> dict[str, int]:
    """Answer `GET /health/ready`."""
    return {"tables": TABLES}


app = Litestar([ready], openapi_config=None)
