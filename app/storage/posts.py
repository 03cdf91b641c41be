"""Posts within one transaction."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import insert
from sqlmodel import col
from sqlmodel import select as select_entity
from sqlmodel.ext.asyncio.session import AsyncSession
from typing_extensions import override

from app.errors import NotFound
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
        # Past the session, which nobody asks for them: that costs a third less.
        rows = [{name: getattr(post, name) for name in Post.model_fields} for post in posts]
        await (await self._session.connection()).execute(_INSERT, rows)

    @override
    async def get(self, owner_id: UUID, post_id: UUID) -> Post:
        statement = select_entity(Post).where(col(Post.id) == post_id, col(Post.user_id) == owner_id)
        post = (await self._session.exec(statement)).one_or_none()
        if post is None:
            raise NotFound(f"There is no post {post_id}.")
        return post

    @override
    async def delete(self, post: Post) -> None:
        await self._session.delete(post)
