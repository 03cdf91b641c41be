"""Invitations to sign up, which operators create and revoke. Each action is recorded in the same transaction."""

from datetime import timedelta
from uuid import UUID

from app.errors import NotFound
from app.ports.unit_of_work import Transactions, UnitOfWork
from models import Action, Invitation, InvitationState, OperatorAction
from models.columns import now
from models.operator_action import OPERATOR_LENGTH


class InvitationService:
    """Creates and revokes invitations, for the operator of that name."""

    def __init__(self, transactions: Transactions, operator: str) -> None:
        self._transactions = transactions
        self._operator = operator[:OPERATOR_LENGTH]

    async def create(self, email: str | None, lifetime: timedelta) -> tuple[UUID, str]:
        """Create an invitation, for that address alone if one is given, and return its id and its code.

        Only this answer has the code.
        """
        invitation, code = Invitation.issue(email, lifetime)
        await self._transactions.run(self._create, invitation)
        return invitation.id, code

    async def revoke(self, invitation_id: UUID) -> None:
        """Make sure that nobody signs up with the invitation any more. An invitation stays revoked.

        Raises:
            NotFound: There is no such invitation, or somebody has signed up with it already.
        """
        await self._transactions.run(self._revoke, invitation_id)

    async def _create(self, unit: UnitOfWork, invitation: Invitation) -> None:
        await unit.add(invitation)
        await self._commit(unit, invitation.id, Action.INVITATION_CREATED)

    async def _revoke(self, unit: UnitOfWork, invitation_id: UUID) -> None:
        invitation = await unit.invitations.lock(invitation_id)
        if invitation is None:
            raise NotFound("there is no such invitation")
        at = now()
        if invitation.state(at) is InvitationState.USED:
            raise NotFound("the invitation is used: somebody has signed up with it; to stop them, disable the user")
        invitation.revoked_at = invitation.revoked_at or at
        await self._commit(unit, invitation_id, Action.INVITATION_REVOKED)

    async def _commit(self, unit: UnitOfWork, invitation_id: UUID, action: Action) -> None:
        await unit.add(OperatorAction(invitation_id=invitation_id, action=action, operator=self._operator))
        await unit.commit()
