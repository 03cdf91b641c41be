"""Sessions within one transaction."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, delete, select
from sqlmodel import col
from sqlmodel import select as select_entity
from sqlmodel.ext.asyncio.session import AsyncSession
from typing_extensions import override

from app.ports.unit_of_work import Sessions
from models import Session


class SessionRepository(Sessions):
    """Sessions in the database."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    @override
    async def lock(self, session_id: UUID, at: datetime) -> Session | None:
        statement = select_entity(Session).where(col(Session.id) == session_id, col(Session.expires_at) > at)
        return (await self._session.exec(statement.with_for_update())).one_or_none()

    @override
    async def end(self, user_id: UUID, session_id: UUID) -> bool:
        statement = delete(Session).where(col(Session.id) == session_id, col(Session.user_id) == user_id)
        result: CursorResult[Any] = await (await self._session.connection()).execute(statement)
        return result.rowcount > 0

    @override
    async def end_all(self, user_id: UUID, *, but: UUID | None = None) -> None:
        statement = delete(Session).where(col(Session.user_id) == user_id)
        if but is not None:
            statement = statement.where(col(Session.id) != but)
        await (await self._session.connection()).execute(statement)

    @override
    async def end_unused(self, user_id: UUID, *, keep: int) -> None:
        connection = await self._session.connection()
        # MySQL does not allow LIMIT in a subquery of DELETE.
        newest_first = (
            select(col(Session.id))
            .where(col(Session.user_id) == user_id)
            .order_by(col(Session.last_used_at).desc(), col(Session.id).desc())
        )
        unused = (await connection.execute(newest_first.offset(keep))).scalars().all()
        if unused:
            await connection.execute(delete(Session).where(col(Session.id).in_(unused)))
