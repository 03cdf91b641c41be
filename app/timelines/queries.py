"""What the answers to "which version, and is the session alive" ask of the database."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, bindparam, select
from sqlmodel import col

from app.batching import Batching
from app.database.engines import Database
from app.timelines.memory import TimelineState
from models import Session, User
from models.columns import UTCDateTime, UUIDBytes, now

_USERS_AT_A_TIME = 500

# Asked for each request where no memory answers: made once, for putting it together takes longer than to run it.
_LIVE_VERSIONS = (
    select(col(Session.id), col(Session.user_id), col(User.timeline_version))
    .join(User, col(Session.user_id) == col(User.id))
    .where(
        col(Session.id).in_(bindparam("session_ids", expanding=True, type_=UUIDBytes)),
        col(Session.expires_at) > bindparam("now", type_=UTCDateTime),
    )
)


class TimelineQueries:
    """Versions and sessions as the database has them, each question one snapshot."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._live_versions = Batching(self._read_live_versions)

    async def state(self, user_id: UUID) -> TimelineState | None:
        """Return the user's timeline version and live sessions, or `None` when the user is gone."""
        statement = (
            select(col(User.timeline_version), col(Session.id), col(Session.expires_at))
            .select_from(User)
            .outerjoin(Session, _is_live())
            .where(col(User.id) == user_id)
        )
        rows = await self._database.rows(statement)
        if not rows:
            return None
        return TimelineState(
            version=rows[0].timeline_version, sessions={row.id: row.expires_at for row in rows if row.id is not None}
        )

    async def fingerprints(self, user_ids: list[UUID]) -> dict[UUID, tuple[int, set[UUID]]]:
        """Return each user's timeline version and live sessions; those who are gone are left out."""
        found: dict[UUID, tuple[int, set[UUID]]] = {}
        for start in range(0, len(user_ids), _USERS_AT_A_TIME):
            statement: Select[*tuple[Any, ...]] = (
                select(col(User.id), col(User.timeline_version), col(Session.id).label("session_id"))
                .outerjoin(Session, _is_live())
                .where(col(User.id).in_(user_ids[start : start + _USERS_AT_A_TIME]))
            )
            for user_id, version, session_id in await self._database.rows(statement):
                _, sessions = found.setdefault(user_id, (version, set()))
                if session_id is not None:
                    sessions.add(session_id)
        return found

    async def live_version(self, user_id: UUID, session_id: UUID) -> int | None:
        """Return the user's timeline version, if the session is theirs and alive."""
        return await self._live_versions((user_id, session_id))

    async def _read_live_versions(self, asked: Sequence[tuple[UUID, UUID]]) -> list[int | None]:
        values = {"session_ids": {session_id for _, session_id in asked}, "now": now()}
        rows = await self._database.rows(_LIVE_VERSIONS, values)
        versions: dict[tuple[UUID, UUID], int] = {(row.user_id, row.id): row.timeline_version for row in rows}
        return [versions.get(of) for of in asked]


def _is_live() -> ColumnElement[bool]:
    """Whether a session is the user's and has not expired."""
    return and_(col(Session.user_id) == col(User.id), col(Session.expires_at) > now())
