"""Posts within one transaction."""

from collections.abc import Collection, Mapping, Sequence, Set
from typing import cast
from uuid import UUID

from sqlalchemy import bindparam, delete, insert
from sqlalchemy import select as select_columns
from sqlalchemy.orm import InstrumentedAttribute, defer
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from typing_extensions import override

from app.ports.unit_of_work import ChangeLog, Posts
from app.storage.by_id import owned_by_id
from models import Post
from models.columns import UUIDBytes

_INSERT = insert(Post)
_COLUMNS = tuple(Post.model_fields)
_THESE = owned_by_id(bindparam("owner_id", type_=UUIDBytes), bindparam("post_ids", expanding=True, type_=UUIDBytes))
_DELETE = delete(Post).where(_THESE)
_EXISTING = select_columns(col(Post.id)).where(_THESE)


class PostRepository(Posts):
    """Posts in the database."""

    def __init__(self, session: AsyncSession, changes: ChangeLog) -> None:
        self._session = session
        self._changes = changes

    @override
    async def add(self, posts: Sequence[Post]) -> None:
        if not posts:
            return
        for post in posts:
            self._changes.add(post)
        # Past the ORM session: nothing looks these rows up in it, and it would add half of the cost again.
        rows = [{name: getattr(post, name) for name in _COLUMNS} for post in posts]
        await (await self._session.connection()).execute(_INSERT, rows)

    @override
    async def get_all(self, owner_id: UUID, post_ids: Collection[UUID]) -> Mapping[UUID, Post]:
        if not post_ids:
            return {}
        statement = select(Post).where(owned_by_id(owner_id, post_ids))
        found = await self._session.exec(statement.options(defer(cast("InstrumentedAttribute[str]", Post.text))))
        posts = {post.id: post for post in found}
        for post in posts.values():
            self._changes.hand_out(post)
        return posts

    @override
    async def remove(self, owner_id: UUID, posts: Sequence[Post]) -> None:
        if not posts:
            return
        for post in posts:
            self._changes.remove(post)
            # An edit of it must not be written any more.
            self._session.expunge(post)
        values = {"owner_id": owner_id, "post_ids": [post.id for post in posts]}
        await (await self._session.connection()).execute(_DELETE, values)

    @override
    async def existing(self, owner_id: UUID, post_ids: Collection[UUID]) -> Set[UUID]:
        values = {"owner_id": owner_id, "post_ids": list(post_ids)}
        return set((await (await self._session.connection()).execute(_EXISTING, values)).scalars())
