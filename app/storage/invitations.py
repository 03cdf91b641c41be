"""Invitations: within one transaction, by their codes, and as operators read them."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Row, ScalarSelect, Select, inspect, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession
from typing_extensions import override

from app.database.engines import Database
from app.ports.unit_of_work import Invitations
from models import Action, Invitation, OperatorAction, User
from models.invitation import hash_code

_COLUMNS = list(inspect(Invitation).columns)


class InvitationRepository(Invitations):
    """Invitations in the database."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    @override
    async def lock(self, invitation_id: UUID) -> Invitation | None:
        return await self._session.get(Invitation, invitation_id, with_for_update=True)


class IssuedInvitation(NamedTuple):
    """An invitation as operators see it: with who created and revoked it, and the address of who used it."""

    invitation: Invitation
    created_by: str | None
    revoked_by: str | None
    used_by: str | None


class InvitationQueries:
    """Reads invitations for operators."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> Sequence[IssuedInvitation]:
        """Return every invitation that is kept, oldest first."""
        return [_issued(row) for row in await self._database.rows(_ISSUED.order_by(col(Invitation.id)))]

    async def find(self, code_or_id: str) -> IssuedInvitation | None:
        """Return the invitation with this code, or with this id."""
        row = await self._database.first(_ISSUED.where(_is(code_or_id)))
        return None if row is None else _issued(row)


async def invitation_with(database: Database, code_hash: str) -> Invitation | None:
    """Return the invitation whose code has this hash."""
    row = await database.first(select(*_COLUMNS).where(col(Invitation.code_hash) == code_hash))
    return None if row is None else _invitation(row)


def _is(code_or_id: str) -> ColumnElement[bool]:
    try:
        return col(Invitation.id) == UUID(code_or_id)
    except ValueError:
        return col(Invitation.code_hash) == hash_code(code_or_id)


def _issued(row: Row[*tuple[Any, ...]]) -> IssuedInvitation:
    return IssuedInvitation(_invitation(row), row.created_by, row.revoked_by, row.address_of_user)


def _invitation(row: Row[*tuple[Any, ...]]) -> Invitation:
    return Invitation(**{column.name: getattr(row, column.name) for column in _COLUMNS})


def _operator(action: Action) -> ScalarSelect[Any]:
    """Return the name of the operator who did this to the invitation first."""
    return (
        select(col(OperatorAction.operator))
        .where(col(OperatorAction.invitation_id) == col(Invitation.id), col(OperatorAction.action) == action)
        .order_by(col(OperatorAction.id))
        .limit(1)
        .scalar_subquery()
    )


_ISSUED: Select[*tuple[Any, ...]] = select(
    *_COLUMNS,
    _operator(Action.INVITATION_CREATED).label("created_by"),
    _operator(Action.INVITATION_REVOKED).label("revoked_by"),
    select(col(User.email)).where(col(User.id) == col(Invitation.used_by)).scalar_subquery().label("address_of_user"),
)
