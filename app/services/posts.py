"""What a person does with their posts."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple
from uuid import UUID

from app.batching import Batching
from app.errors import IdempotencyKeyReused, PreconditionFailed
from app.ports.reads import Page, Reads
from app.ports.transactions import UnitOfWork, Units
from app.services.repeating import repeats_when_deadlocked
from models import IdempotencyKey, Post, PostCreate, PostRead, PostUpdate

# Longer texts are no quicker together, and 64 of them would be held at once.
_MOST_CHARACTERS_TOGETHER = 16_384


class AddedPost(NamedTuple):
    """A post that is committed, by this request or by an earlier one that it repeats."""

    post_id: UUID
    is_replayed: bool


class PostService:
    """Adds, lists, reads, edits and deletes one owner's posts; everyone else's are as if they did not exist."""

    def __init__(self, units: Units, reads: Reads) -> None:
        self._units = units
        self._reads = reads
        self._add_together = Batching(self._add_all)

    @repeats_when_deadlocked
    async def create(self, owner_id: UUID, draft: PostCreate, idempotency_key: str | None = None) -> AddedPost:
        """Add a post, once it is committed; or return the one that the owner's key was used for before.

        Raises:
            IdempotencyKeyReused: The key was used within the last 24 hours, for another text.
        """
        if idempotency_key is None and len(draft.text) <= _MOST_CHARACTERS_TOGETHER:
            post_id = await self._add_together((owner_id, draft))
            if post_id is not None:
                return AddedPost(post_id, is_replayed=False)
        async with self._units() as unit:
            # Under the owner's lock, so that of two requests with one key the second finds what the first did.
            version = await unit.users.advance_timeline(owner_id)
            earlier = None
            if idempotency_key is not None:
                earlier = await unit.idempotency_keys.get(owner_id, idempotency_key)
            if earlier is None:
                post = _write(unit, owner_id, draft, version)
                if idempotency_key is not None:
                    await unit.idempotency_keys.put(IdempotencyKey.of(owner_id, idempotency_key, draft, post.id))
                await unit.commit()
                return AddedPost(post.id, is_replayed=False)
        if not earlier.is_of(draft):
            raise IdempotencyKeyReused("This Idempotency-Key was used with another body.")
        # Whoever committed it may have died before everyone was told.
        await self._units.confirm(owner_id)
        return AddedPost(earlier.post_id, is_replayed=True)

    async def _add_all(self, drafts: Sequence[tuple[UUID, PostCreate]]) -> list[UUID | None]:
        """Add posts of any owners in one transaction, but for those whose owner is gone or would be waited for."""
        counts = Counter(owner_id for owner_id, _ in drafts)
        async with self._units() as unit:
            newest = await unit.users.advance_timelines(counts)
            versions = {
                owner_id: iter(range(version - counts[owner_id] + 1, version + 1))
                for owner_id, version in newest.items()
            }
            post_ids = [
                _write(unit, owner_id, draft, next(versions[owner_id])).id if owner_id in versions else None
                for owner_id, draft in drafts
            ]
            await unit.commit()
        return post_ids

    async def page(self, owner_id: UUID, *, limit: int | None = None, cursor: int | None = None) -> Page | None:
        """Return the owner's posts, newest first: all of them, or `limit` of those after `cursor`.

        Where that is too much to hold at once, there is nothing, and `page_in_parts` to be asked for.
        """
        return await self._reads.page(owner_id, limit, cursor)

    def page_in_parts(
        self, owner_id: UUID, *, limit: int | None = None, cursor: int | None = None
    ) -> AsyncIterator[Page]:
        """Yield the same, of whatever size, in parts that all show one version; there is at least one."""
        return self._reads.page_in_parts(owner_id, limit, cursor)

    async def read(self, owner_id: UUID, post_id: UUID) -> PostRead:
        """Return one post.

        Raises:
            NotFound: The owner has no such post.
        """
        return await self._reads.post(owner_id, post_id)

    @repeats_when_deadlocked
    async def update(
        self, owner_id: UUID, post_id: UUID, edit: PostUpdate, *, if_version: frozenset[int] | None = None
    ) -> PostRead:
        """Replace a post's text and return the post, once it is committed.

        Raises:
            NotFound: The owner has no such post.
            PreconditionFailed: `if_version` is given, and the post's version is not in it.
        """
        async with self._units() as unit:
            post, version = await _take(unit, owner_id, post_id, if_version)
            unit.record(post.rewrite(edit, version))
            await unit.commit()
        return post.as_read()

    @repeats_when_deadlocked
    async def delete(self, owner_id: UUID, post_id: UUID, *, if_version: frozenset[int] | None = None) -> None:
        """Remove a post; when this returns, the removal is committed.

        Raises:
            NotFound: The owner has no such post.
            PreconditionFailed: `if_version` is given, and the post's version is not in it.
        """
        async with self._units() as unit:
            post, version = await _take(unit, owner_id, post_id, if_version)
            await unit.posts.delete(post)
            unit.record(post.removed(version))
            await unit.commit()


def _write(unit: UnitOfWork, owner_id: UUID, draft: PostCreate, version: int) -> Post:
    post, created = Post.write(owner_id, draft, version)
    unit.posts.add(post)
    unit.record(created)
    return post


async def _take(unit: UnitOfWork, owner_id: UUID, post_id: UUID, if_version: frozenset[int] | None) -> tuple[Post, int]:
    """Return a post to change, under its owner's lock, and the timeline version that the change makes."""
    version = await unit.users.advance_timeline(owner_id)
    post = await unit.posts.get(owner_id, post_id)
    if if_version is not None and post.version not in if_version:
        raise PreconditionFailed(f"The post is at version {post.version}.")
    return post, version
