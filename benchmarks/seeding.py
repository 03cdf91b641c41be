"""Inserts posts by the million straight into a database: through the service, that would take too long."""

import asyncio
from uuid import uuid4

from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import create_async_engine

_INSERT = """
    INSERT INTO posts (id, user_id, position, version, size, text, created_at, updated_at)
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count)
    SELECT {id}, users.id, numbers.n, 1, :size, :text, users.created_at, users.created_at
    FROM users, numbers WHERE users.email = :email
"""
_IDS = {
    "sqlite": "CAST(printf('%s%08d', :prefix, numbers.n) AS BLOB)",
    "mysql": "CONCAT(:prefix, LPAD(numbers.n, 8, '0'))",
}


def add_posts(database: URL, email: str, count: int, post: str) -> None:
    """Insert so many posts of a user who has none, before the service has read the user's timeline version."""
    asyncio.run(_add_posts(database, email, count, post))


async def _add_posts(database: URL, email: str, count: int, post: str) -> None:
    engine = create_async_engine(database)
    backend = database.get_backend_name()
    values = {"prefix": uuid4().hex[:8], "count": count, "size": len(post.encode()), "text": post, "email": email}
    async with engine.begin() as connection:
        if backend == "mysql":
            await connection.execute(text("SET SESSION max_recursive_iterations = 4294967295"))
        await connection.execute(text(_INSERT.format(id=_IDS[backend])), values)
        await connection.execute(text("UPDATE users SET timeline_version = :count WHERE email = :email"), values)
    await engine.dispose()
