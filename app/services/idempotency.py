"""Requests that are retried with an `Idempotency-Key`."""

from uuid import UUID

from app.errors import IdempotencyKeyReused
from app.ports.unit_of_work import UnitOfWork
from models import IdempotencyKey, PostCreate


async def earlier_use(unit: UnitOfWork, owner_id: UUID, key: str, request: PostCreate | str) -> IdempotencyKey | None:
    """Return what the owner's key was used for, if it was used before.

    Call it under the owner's lock: of two concurrent requests with one key, the second finds the first's. And check
    conditions afterwards: the first request made the condition of its own retry false.

    Raises:
        IdempotencyKeyReused: The key was used for another request.
    """
    earlier = await unit.idempotency_keys.get(owner_id, key)
    if earlier is not None and not earlier.is_of(request):
        raise IdempotencyKeyReused("This Idempotency-Key was used with another body, or for another request.")
    return earlier
