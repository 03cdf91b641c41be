"""What users do with their posts. Reads go from the controllers straight to `app.storage.queries`."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from app.batching import Batching
from app.errors import IdempotencyKeyReused, PreconditionFailed
from app.ports.unit_of_work import Transactions, UnitOfWork
from models import IdempotencyKey, Post, PostCreate, PostRead, PostUpdate

# A longer text gains nothing from a shared transaction, and a batch holds up to 64 of them in memory.
_MAX_BATCHED_CHARACTERS = 16_384


class CreatedPost(NamedTuple):
    """A post that is committed, by this request or by an earlier one with the same idempotency key."""

    post_id: UUID
    is_replayed: bool


class PostService:
    """Creates, edits and deletes one owner's posts. Posts of other users are treated as missing."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._create_batched = Batching(self._create_batch)

    async def create(self, owner_id: UUID, draft: PostCreate, idempotency_key: str | None = None) -> CreatedPost:
        """Add a post and return when it is committed, or return the post that the owner's key was used for before.

        Posts that are created at the same time share a transaction (group commit), unless they have a key or are long.

        Raises:
            IdempotencyKeyReused: The key was used within the last 24 hours, for another text.
            Unauthenticated: The owner is gone.
        """
        if idempotency_key is None:
            if len(draft.text) <= _MAX_BATCHED_CHARACTERS:
                post_id = await self._create_batched((owner_id, draft))
                if post_id is not None:
                    return CreatedPost(post_id, is_replayed=False)
            return CreatedPost(await self._transactions.run(_create, owner_id, draft), is_replayed=False)
        return await self._transactions.run(_create_once, owner_id, draft, idempotency_key)

    async def update(
        self, owner_id: UUID, post_id: UUID, edit: PostUpdate, *, if_version: frozenset[int] | None = None
    ) -> PostRead:
        """Replace a post's text, and return the post when it is committed.

        Raises:
            NotFound: The owner has no such post.
            PreconditionFailed: `if_version` is given, and the post's version is not in it.
        """
        return await self._transactions.run(_update, owner_id, post_id, edit, if_version)

    async def delete(self, owner_id: UUID, post_id: UUID, *, if_version: frozenset[int] | None = None) -> None:
        """Remove a post, and return when that is committed.

        Raises:
            NotFound: The owner has no such post.
            PreconditionFailed: `if_version` is given, and the post's version is not in it.
        """
        await self._transactions.run(_delete, owner_id, post_id, if_version)

    async def _create_batch(self, drafts: Sequence[tuple[UUID, PostCreate]]) -> list[UUID | None]:
        return await self._transactions.run(_create_all, drafts)


async def _create(unit: UnitOfWork, owner_id: UUID, draft: PostCreate) -> UUID:
    version = await unit.users.advance_timeline(owner_id)
    post, created = Post.write(owner_id, draft, version)
    await unit.posts.add([post])
    unit.record(created)
    await unit.commit()
    return post.id


async def _create_once(unit: UnitOfWork, owner_id: UUID, draft: PostCreate, idempotency_key: str) -> CreatedPost:
    # The key is read under the owner's lock: of two concurrent requests with one key, the second finds the first's
    # post.
    version = await unit.users.advance_timeline(owner_id)
    earlier = await unit.idempotency_keys.get(owner_id, idempotency_key)
    if earlier is not None:
        if not earlier.is_of(draft):
            raise IdempotencyKeyReused("This Idempotency-Key was used with another body.")
        replayed = CreatedPost(earlier.post_id, is_replayed=True)
        await unit.rollback()
        return replayed
    post, created = Post.write(owner_id, draft, version)
    await unit.posts.add([post])
    await unit.idempotency_keys.put(IdempotencyKey.of(owner_id, idempotency_key, draft, post.id))
    unit.record(created)
    await unit.commit()
    return CreatedPost(post.id, is_replayed=False)


async def _create_all(unit: UnitOfWork, drafts: Sequence[tuple[UUID, PostCreate]]) -> list[UUID | None]:
    """Add posts of several owners, and return their ids: `None` for an owner who is gone or whose row is locked."""
    counts = Counter(owner_id for owner_id, _ in drafts)
    newest = await unit.users.advance_timelines(counts)
    versions = {owner_id: iter(range(last - counts[owner_id] + 1, last + 1)) for owner_id, last in newest.items()}
    posts, post_ids = list[Post](), list[UUID | None]()
    for owner_id, draft in drafts:
        if owner_id not in versions:
            post_ids.append(None)
            continue
        post, created = Post.write(owner_id, draft, next(versions[owner_id]))
        posts.append(post)
        post_ids.append(post.id)
        unit.record(created)
    await unit.posts.add(posts)
    await unit.commit()
    return post_ids


async def _update(
    unit: UnitOfWork, owner_id: UUID, post_id: UUID, edit: PostUpdate, if_version: frozenset[int] | None
) -> PostRead:
    version = await unit.users.advance_timeline(owner_id)
    post = await _get(unit, owner_id, post_id, if_version)
    unit.record(post.rewrite(edit, version))
    await unit.commit()
    return post.as_read()


async def _delete(unit: UnitOfWork, owner_id: UUID, post_id: UUID, if_version: frozenset[int] | None) -> None:
    version = await unit.users.advance_timeline(owner_id)
    post = await _get(unit, owner_id, post_id, if_version)
    await unit.delete(post)
    unit.record(post.removed(version))
    await unit.commit()


async def _get(unit: UnitOfWork, owner_id: UUID, post_id: UUID, if_version: frozenset[int] | None) -> Post:
    """Return the post to change, if its version is an expected one."""
    post = await unit.get(Post, owner_id, post_id)
    if if_version is not None and post.version not in if_version:
        raise PreconditionFailed(f"The post is at version {post.version}.")
    return post
