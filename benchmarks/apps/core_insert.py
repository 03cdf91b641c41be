"""The minimum of a write: one INSERT and COMMIT through SQLAlchemy Core, in a handler of bare Litestar."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from litestar import Litestar, post
from sqlalchemy import BINARY, Column, DateTime, MetaData, Table, insert
from sqlalchemy.dialects.mysql import MEDIUMTEXT
from sqlalchemy.ext.asyncio import create_async_engine

engine = create_async_engine(os.environ["DATABASE_URL"], pool_size=10, max_overflow=0)
metadata = MetaData()
posts = Table(
    "post",
    metadata,
    Column("id", BINARY(16), primary_key=True),
    Column("text", MEDIUMTEXT, nullable=False),
    Column("created_at", DateTime, nullable=False),
)


@post("/posts")
async def create_post(data: dict[str, Any]) -> dict[str, str]:
    """Answer `POST /posts`."""
    post_id = uuid4()
    values = {"id": post_id.bytes, "text": data["text"], "created_at": datetime.now(UTC)}
    async with engine.begin() as connection:
        await connection.execute(insert(posts), values)
    return {"postID": str(post_id)}


@asynccontextmanager
async def lifespan(_: Litestar) -> AsyncIterator[None]:
    """Create the table, and close the pool at the end."""
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield
    await engine.dispose()


app = Litestar([create_post], lifespan=[lifespan], openapi_config=None)
