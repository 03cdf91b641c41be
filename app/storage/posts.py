"""Posts within one transaction."""

from collections.abc import Sequence

from sqlalchemy import insert
from sqlmodel.ext.asyncio.session import AsyncSession
from typing_extensions import override

from app.ports.unit_of_work import Posts
from models import Post

_INSERT = insert(Post)


class PostRepository(Posts):
    """Posts in the database."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    @override
    async def add(self, posts: Sequence[Post]) -> None:
        if not posts:
            return
        # Past the ORM session: nothing looks these rows up in it, and it would add half of the cost again.
        rows = [{name: getattr(post, name) for name in Post.model_fields} for post in posts]
        await (await self._session.connection()).execute(_INSERT, rows)
