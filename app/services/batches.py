"""Several operations on posts in one transaction: all of them, or none."""

from collections.abc import Container, Mapping
from typing import NamedTuple
from uuid import UUID

from app.errors import DomainError, NotFound, PreconditionFailed
from app.ports.unit_of_work import UnitOfWork
from app.services.idempotency import earlier_use
from app.services.preconditions import check_post, check_timeline
from events.types import PostEvent
from models import (
    CreateOperation,
    DeleteOperation,
    IdempotencyKey,
    OperationResult,
    Post,
    PostBatch,
    PostBatchApplied,
    UpdateOperation,
)


class AppliedBatch(NamedTuple):
    """A batch that is committed, by this request or by an earlier one with the same idempotency key."""

    answer: PostBatchApplied
    is_replayed: bool


async def apply_batch(
    unit: UnitOfWork,
    owner_id: UUID,
    batch: PostBatch,
    *,
    idempotency_key: str | None,
    if_version: Container[int] | None,
) -> AppliedBatch:
    """Carry out the operations in order, each as one change of the timeline.

    Raises:
        IdempotencyKeyReused: The key was used within the last 24 hours, for another request.
        NotFound: The owner has no such post, or not any more. The error names the operation.
        PreconditionFailed: The timeline's version is not in `if_version`, or a post's is not the operation's. Then the
            error names the operation.
        Unauthenticated: The owner is gone.
    """
    operations = batch.operations
    newest = await unit.users.advance_timeline(owner_id, by=len(operations))
    request = "" if idempotency_key is None else f"POST /posts/batch\n{batch.model_dump_json()}"
    if idempotency_key is not None:
        earlier = await earlier_use(unit, owner_id, idempotency_key, request)
        if earlier is not None:
            replayed = AppliedBatch(PostBatchApplied.model_validate_json(earlier.answer or b""), is_replayed=True)
            await unit.rollback()
            return replayed
    before = newest - len(operations)
    check_timeline(before, if_version)

    posts = dict(await unit.posts.get_all(owner_id, _post_ids(batch)))
    added, removed, results = list[Post](), list[Post](), list[OperationResult]()
    for index, operation in enumerate(operations):
        version = before + index + 1
        event: PostEvent
        match operation:
            case CreateOperation():
                post, event = Post.write(owner_id, operation, version)
                added.append(post)
            case UpdateOperation():
                post = _post(posts, operation, index)
                event = post.rewrite(operation, version)
            case DeleteOperation():
                post = _post(posts, operation, index)
                removed.append(posts.pop(post.id))
                event = post.removed(version)
        unit.record(event)
        is_gone = isinstance(operation, DeleteOperation)
        results.append(OperationResult(postID=post.id, version=None if is_gone else post.version))
    await unit.posts.remove(owner_id, removed)
    await unit.posts.add(added)

    answer = PostBatchApplied(version=newest, results=results)
    if idempotency_key is not None:
        stored = answer.model_dump_json().encode()
        await unit.idempotency_keys.put(
            IdempotencyKey.of(owner_id, idempotency_key, request, timeline_version=newest, answer=stored)
        )
    await unit.commit()
    return AppliedBatch(answer, is_replayed=False)


def _post_ids(batch: PostBatch) -> set[UUID]:
    return {operation.postID for operation in batch.operations if not isinstance(operation, CreateOperation)}


def _post(posts: Mapping[UUID, Post], operation: UpdateOperation | DeleteOperation, index: int) -> Post:
    """Return the post that an operation changes, if its version is the expected one."""
    post = posts.get(operation.postID)
    if post is None:
        raise _at(index, NotFound(f"There is no post {operation.postID}."))
    try:
        check_post(post, None if operation.if_version is None else {operation.if_version})
    except PreconditionFailed as error:
        raise _at(index, error) from None
    return post


def _at(index: int, error: DomainError) -> DomainError:
    """Return the error with the operation that it is of."""
    error.members["errors"] = [{"field": f"operations[{index}]", "message": str(error)}]
    return error
