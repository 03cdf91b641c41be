"""What users do with their posts. Reads go from the controllers straight to `app.storage.queries`."""

from collections import defaultdict
from collections.abc import Container, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from sys import getsizeof
from typing import NamedTuple
from uuid import UUID

import msgspec

from app.batching import POSTPONED, Batching, Postponed, PostponedTooOften
from app.errors import QuotaExceeded
from app.ports.unit_of_work import Transactions, UnitOfWork
from app.quotas import Growth
from app.services.batches import AppliedBatch, apply_batch
from app.services.idempotency import earlier_use
from app.services.preconditions import check_post, check_timeline
from app.shares import Share
from models import CreateOperation, IdempotencyKey, Post, PostBatch, PostCreate, PostRead, PostUpdate, UpdateOperation

# A longer text gains nothing from a shared transaction, and a batch holds up to 64 of them in memory.
_MAX_BATCHED_CHARACTERS = 16_384
_MIB = 1_048_576


class CreatedPost(NamedTuple):
    """A post that is committed, by this request or by an earlier one with the same idempotency key.

    `timeline_version` is the version that the change made.
    """

    post_id: UUID
    timeline_version: int
    is_replayed: bool = False


class UpdatedPost(NamedTuple):
    """A post as an edit left it, which is committed, by this request or by an earlier one with the same key."""

    post: PostRead
    timeline_version: int
    is_replayed: bool = False


class DeletedPost(NamedTuple):
    """The removal of a post, which is committed, by this request or by an earlier one with the same key."""

    timeline_version: int
    is_replayed: bool = False


class PostService:
    """Creates, edits and deletes one owner's posts. Posts of other users are treated as missing.

    `long_texts` bounds the memory of long texts that wait to be written. Posts that are created at the same time share
    up to `max_group_commits` transactions at a time.
    """

    def __init__(self, transactions: Transactions, *, max_group_commits: int = 1) -> None:
        self._transactions = transactions
        self.long_texts = Share("bytes of long texts", per_key=64 * _MIB, total=256 * _MIB)
        self._create_batched = Batching(self._create_batch, owner_of=_owner_of, max_concurrent=max_group_commits)

    async def create(
        self,
        owner_id: UUID,
        draft: PostCreate,
        idempotency_key: str | None = None,
        *,
        if_version: Container[int] | None = None,
    ) -> CreatedPost:
        """Add a post and return when it is committed, or return the post that the owner's key was used for before.

        Posts that are created at the same time share a transaction (group commit), unless they have a key or a
        condition, or are long.

        Raises:
            IdempotencyKeyReused: The key was used within the last 24 hours, for another text.
            PreconditionFailed: `if_version` is given, and the timeline's version is not in it.
            QuotaExceeded: The owner has as many posts, or bytes of text, as one user may have.
            TooManyRequests: Too many writes of the owner wait already.
            Unauthenticated: The owner is gone.
        """
        if idempotency_key is None and if_version is None and len(draft.text) <= _MAX_BATCHED_CHARACTERS:
            with suppress(PostponedTooOften):
                created = await self._create_batched((owner_id, draft))
                if created is not None:
                    return created
        with self._held(owner_id, draft.text):
            return await self._transactions.run_for(
                owner_id, _create, owner_id, draft, idempotency_key=idempotency_key, if_version=if_version
            )

    async def update(
        self,
        owner_id: UUID,
        post_id: UUID,
        edit: PostUpdate,
        idempotency_key: str | None = None,
        *,
        if_version: Container[int] | None = None,
    ) -> UpdatedPost:
        """Replace a post's text, and return the post when it is committed, or as it was when the key was used before.

        Raises:
            IdempotencyKeyReused: The key was used within the last 24 hours, for another request.
            NotFound: The owner has no such post.
            PreconditionFailed: `if_version` is given, and the post's version is not in it.
            QuotaExceeded: The text is longer than before, and the owner has no room for it.
            TooManyRequests: Too many writes of the owner wait already.
        """
        with self._held(owner_id, edit.text):
            return await self._transactions.run_for(
                owner_id, _update, owner_id, post_id, edit, idempotency_key=idempotency_key, if_version=if_version
            )

    async def delete(
        self,
        owner_id: UUID,
        post_id: UUID,
        idempotency_key: str | None = None,
        *,
        if_version: Container[int] | None = None,
    ) -> DeletedPost:
        """Remove a post, and return when that is committed, by this request or an earlier one with the same key.

        Raises:
            IdempotencyKeyReused: The key was used within the last 24 hours, for another request.
            NotFound: The owner has no such post.
            PreconditionFailed: `if_version` is given, and the post's version is not in it.
            TooManyRequests: Too many writes of the owner wait already.
        """
        return await self._transactions.run_for(
            owner_id, _delete, owner_id, post_id, idempotency_key=idempotency_key, if_version=if_version
        )

    async def apply(
        self,
        owner_id: UUID,
        batch: PostBatch,
        idempotency_key: str | None = None,
        *,
        if_version: Container[int] | None = None,
    ) -> AppliedBatch:
        """Carry out a batch, and return when it is committed: see `apply_batch`.

        Raises:
            TooManyRequests: Too many writes of the owner wait already.
        """
        texts = [each.text for each in batch.operations if isinstance(each, CreateOperation | UpdateOperation)]
        with self._held(owner_id, *texts):
            return await self._transactions.run_for(
                owner_id, apply_batch, owner_id, batch, idempotency_key=idempotency_key, if_version=if_version
            )

    def _held(self, owner_id: UUID, *texts: str) -> AbstractContextManager[object]:
        """Count the memory of long texts; thousands of short ones may wait without harm."""
        if sum(map(len, texts)) <= _MAX_BATCHED_CHARACTERS:
            return nullcontext()
        return self.long_texts.hold(owner_id, sum(map(getsizeof, texts)))

    async def _create_batch(self, drafts: Sequence[tuple[UUID, PostCreate]]) -> list[CreatedPost | Postponed | None]:
        return await self._transactions.run(_create_all, drafts)


def _owner_of(item: tuple[UUID, PostCreate]) -> UUID:
    return item[0]


async def _create(
    unit: UnitOfWork,
    owner_id: UUID,
    draft: PostCreate,
    *,
    idempotency_key: str | None,
    if_version: Container[int] | None,
) -> CreatedPost:
    try:
        version = await unit.users.advance_timeline(owner_id, Growth(1, draft.size))
    except QuotaExceeded:
        # The last post that there was room for may be this one.
        user = await unit.users.lock(owner_id)
        replayed = await _replayed(unit, owner_id, draft, idempotency_key, user.timeline_version)
        if replayed is None:
            raise
        return replayed
    replayed = await _replayed(unit, owner_id, draft, idempotency_key, version - 1)
    if replayed is not None:
        return replayed
    check_timeline(version - 1, if_version)
    post, created = Post.write(owner_id, draft, version)
    await unit.posts.add([post])
    unit.record(created)
    if idempotency_key is not None:
        await unit.idempotency_keys.put(
            IdempotencyKey.of(owner_id, idempotency_key, draft, post.id, timeline_version=version)
        )
    await unit.commit()
    return CreatedPost(post.id, version)


async def _replayed(
    unit: UnitOfWork, owner_id: UUID, draft: PostCreate, idempotency_key: str | None, version: int
) -> CreatedPost | None:
    """Return the post that the key was used for, and roll back; `None` without a key, or if it is a new one."""
    if idempotency_key is None:
        return None
    earlier = await earlier_use(unit, owner_id, idempotency_key, draft)
    if earlier is None or earlier.post_id is None:
        return None
    replayed = CreatedPost(earlier.post_id, earlier.timeline_version or version, is_replayed=True)
    await unit.rollback()
    return replayed


async def _create_all(
    unit: UnitOfWork, drafts: Sequence[tuple[UUID, PostCreate]]
) -> list[CreatedPost | Postponed | None]:
    """Add posts of several owners, and return them.

    `POSTPONED`: the owner's row is locked, perhaps by a batch of another process, or the owner is gone. `None`: the
    owner has no room for all their posts, of which some may fit, or is certainly gone.
    """
    sizes = defaultdict[UUID, list[int]](list)
    for owner_id, draft in drafts:
        sizes[owner_id].append(draft.size)
    counts = {owner_id: len(of_owner) for owner_id, of_owner in sizes.items()}
    growth = {owner_id: Growth(len(of_owner), sum(of_owner)) for owner_id, of_owner in sizes.items()}
    newest = await unit.users.advance_timelines(counts, growth)
    versions = {
        owner_id: iter(range(last - counts[owner_id] + 1, last + 1))
        for owner_id, last in newest.items()
        if last is not None
    }
    posts, added = list[Post](), list[CreatedPost | Postponed | None]()
    for owner_id, draft in drafts:
        if owner_id not in versions:
            # The row of a single owner was waited for.
            added.append(None if owner_id in newest or len(counts) == 1 else POSTPONED)
            continue
        version = next(versions[owner_id])
        post, created = Post.write(owner_id, draft, version)
        posts.append(post)
        added.append(CreatedPost(post.id, version))
        unit.record(created)
    if not newest:
        await unit.rollback()
        return added
    await unit.posts.add(posts)
    await unit.commit()
    return added


async def _update(
    unit: UnitOfWork,
    owner_id: UUID,
    post_id: UUID,
    edit: PostUpdate,
    *,
    idempotency_key: str | None,
    if_version: Container[int] | None,
) -> UpdatedPost:
    version = await unit.users.advance_timeline(owner_id)
    request = "" if idempotency_key is None else f"PATCH /posts/{post_id}\n{edit.text}"
    if idempotency_key is not None:
        earlier = await earlier_use(unit, owner_id, idempotency_key, request)
        if earlier is not None:
            # The text is the request's own.
            fields = msgspec.json.decode(earlier.answer or b"{}") | {"text": edit.text}
            replayed = UpdatedPost(
                PostRead.model_validate(fields), earlier.timeline_version or version - 1, is_replayed=True
            )
            await unit.rollback()
            return replayed
    post = await unit.get(Post, owner_id, post_id)
    check_post(post, if_version)
    unit.record(post.rewrite(edit, version))
    updated = UpdatedPost(post.as_read(), version)
    if idempotency_key is not None:
        answer = updated.post.model_dump_json(exclude={"text"}).encode()
        await unit.idempotency_keys.put(
            IdempotencyKey.of(owner_id, idempotency_key, request, timeline_version=version, answer=answer)
        )
    await unit.commit()
    return updated


async def _delete(
    unit: UnitOfWork,
    owner_id: UUID,
    post_id: UUID,
    *,
    idempotency_key: str | None,
    if_version: Container[int] | None,
) -> DeletedPost:
    version = await unit.users.advance_timeline(owner_id)
    request = f"DELETE /posts/{post_id}"
    if idempotency_key is not None:
        earlier = await earlier_use(unit, owner_id, idempotency_key, request)
        if earlier is not None:
            replayed = DeletedPost(earlier.timeline_version or version - 1, is_replayed=True)
            await unit.rollback()
            return replayed
    post = await unit.get(Post, owner_id, post_id)
    check_post(post, if_version)
    await unit.delete(post)
    unit.record(post.removed(version))
    if idempotency_key is not None:
        await unit.idempotency_keys.put(IdempotencyKey.of(owner_id, idempotency_key, request, timeline_version=version))
    await unit.commit()
    return DeletedPost(version)
