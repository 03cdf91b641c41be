"""Idempotency keys within one transaction."""

from uuid import UUID

from sqlalchemy import and_, delete
from sqlmodel import col
from sqlmodel import select as select_entity
from sqlmodel.ext.asyncio.session import AsyncSession
from typing_extensions import override

from app.ports.unit_of_work import IdempotencyKeys
from models import IdempotencyKey
from models.columns import now


class IdempotencyKeyRepository(IdempotencyKeys):
    """Idempotency keys in the database."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    @override
    async def get(self, user_id: UUID, key: str) -> IdempotencyKey | None:
        statement = select_entity(IdempotencyKey).where(
            col(IdempotencyKey.user_id) == user_id,
            col(IdempotencyKey.key) == key,
            col(IdempotencyKey.created_at) > now() - IdempotencyKey.lifetime,
        )
        return (await self._session.exec(statement)).one_or_none()

    @override
    async def put(self, used: IdempotencyKey) -> None:
        # Deleted rather than updated: the delete locks an expired use, which the pruner may remove at any moment.
        is_this = and_(col(IdempotencyKey.user_id) == used.user_id, col(IdempotencyKey.key) == used.key)
        await (await self._session.connection()).execute(delete(IdempotencyKey).where(is_this))
        self._session.add(used)
