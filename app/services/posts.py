"""What a person does with their posts."""

from uuid import UUID

from app.errors import PreconditionFailed
from app.ports import Page, Reads, Units
from models import Post, PostCreate, PostRead, PostUpdate


class PostService:
    """Adds, lists, reads, edits and deletes one owner's posts; everyone else's are as if they did not exist."""

    def __init__(self, units: Units, reads: Reads) -> None:
        self._units = units
        self._reads = reads

    async def create(self, owner_id: UUID, draft: PostCreate) -> UUID:
        """Add a post and return its id, once it is committed."""
        async with self._units() as unit:
            version = await unit.users.advance_timeline(owner_id)
            post, created = Post.write(owner_id, draft, version)
            unit.posts.add(post)
            unit.record(created)
            await unit.commit()
        return post.id

    async def page(self, owner_id: UUID, *, limit: int | None = None, cursor: int | None = None) -> Page:
        """Return the owner's posts, newest first: all of them, or `limit` of those after `cursor`."""
        return await self._reads.page(owner_id, limit, cursor)

    async def read(self, owner_id: UUID, post_id: UUID) -> PostRead:
        """Return one post.

        Raises:
            NotFound: The owner has no such post.
        """
        return await self._reads.post(owner_id, post_id)

    async def update(
        self, owner_id: UUID, post_id: UUID, edit: PostUpdate, *, if_version: frozenset[int] | None = None
    ) -> PostRead:
        """Replace a post's text and return the post, once it is committed.

        Raises:
            NotFound: The owner has no such post.
            PreconditionFailed: `if_version` is given, and the post's version is not in it.
        """
        async with self._units() as unit:
            version = await unit.users.advance_timeline(owner_id)
            post = await unit.posts.get(owner_id, post_id)
            _require(post, if_version)
            unit.record(post.rewrite(edit, version))
            await unit.commit()
        return post.as_read()

    async def delete(self, owner_id: UUID, post_id: UUID, *, if_version: frozenset[int] | None = None) -> None:
        """Remove a post; when this returns, the removal is committed.

        Raises:
            NotFound: The owner has no such post.
            PreconditionFailed: `if_version` is given, and the post's version is not in it.
        """
        async with self._units() as unit:
            version = await unit.users.advance_timeline(owner_id)
            post = await unit.posts.get(owner_id, post_id)
            _require(post, if_version)
            await unit.posts.delete(post)
            unit.record(post.removed(version))
            await unit.commit()


def _require(post: Post, if_version: frozenset[int] | None) -> None:
    if if_version is not None and post.version not in if_version:
        raise PreconditionFailed(f"The post is at version {post.version}.")
