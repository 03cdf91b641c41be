"""Sessions, and the personal tokens among them, within one transaction."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, CursorResult, delete, func, select
from sqlmodel import col
from sqlmodel import select as select_entity
from sqlmodel.ext.asyncio.session import AsyncSession
from typing_extensions import override

from app.ports.unit_of_work import PersonalTokens, Sessions
from models import Session


def is_log_in() -> ColumnElement[bool]:
    """Return the condition that a session was opened by a log-in."""
    return col(Session.token_hash).is_(None)


def is_personal_token() -> ColumnElement[bool]:
    """Return the condition that a session is a personal token."""
    return col(Session.token_hash).is_not(None)


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
        return await _end(self._session, user_id, session_id, is_log_in())

    @override
    async def end_all(self, user_id: UUID) -> None:
        await (await self._session.connection()).execute(delete(Session).where(col(Session.user_id) == user_id))

    @override
    async def end_log_ins(self, user_id: UUID, *, but: UUID | None = None) -> None:
        statement = delete(Session).where(col(Session.user_id) == user_id, is_log_in())
        if but is not None:
            statement = statement.where(col(Session.id) != but)
        await (await self._session.connection()).execute(statement)

    @override
    async def end_unused(self, user_id: UUID, *, keep: int) -> None:
        connection = await self._session.connection()
        # MySQL does not allow LIMIT in a subquery of DELETE.
        newest_first = (
            select(col(Session.id))
            .where(col(Session.user_id) == user_id, is_log_in())
            .order_by(col(Session.last_used_at).desc(), col(Session.id).desc())
        )
        unused = (await connection.execute(newest_first.offset(keep))).scalars().all()
        if unused:
            await connection.execute(delete(Session).where(col(Session.id).in_(unused)))


class PersonalTokenRepository(PersonalTokens):
    """Personal tokens in the database."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    @override
    async def count(self, user_id: UUID, at: datetime) -> int:
        statement = (
            select(func.count())
            .select_from(Session)
            .where(col(Session.user_id) == user_id, col(Session.expires_at) > at, is_personal_token())
        )
        return (await (await self._session.connection()).execute(statement)).scalar_one()

    @override
    async def end(self, user_id: UUID, token_id: UUID) -> bool:
        return await _end(self._session, user_id, token_id, is_personal_token())

    @override
    async def end_all(self, user_id: UUID) -> None:
        statement = delete(Session).where(col(Session.user_id) == user_id, is_personal_token())
        await (await self._session.connection()).execute(statement)


async def _end(session: AsyncSession, user_id: UUID, session_id: UUID, kind: ColumnElement[bool]) -> bool:
    statement = delete(Session).where(col(Session.id) == session_id, col(Session.user_id) == user_id, kind)
    result: CursorResult[Any] = await (await session.connection()).execute(statement)
    return result.rowcount > 0
