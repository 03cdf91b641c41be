"""What operators do to users. Each action is recorded in the same transaction (`OperatorAction`)."""

from collections.abc import Mapping
from uuid import UUID

from app.errors import NotFound
from app.ports.mail import LinkClaim, Links
from app.ports.security import Passwords
from app.ports.unit_of_work import Transactions, UnitOfWork
from app.quotas import QuotaName
from app.services.mails import Mails
from events.types import (
    SessionsChanged,
    UserDisabledEvent,
    UserEnabledEvent,
    UserErasedEvent,
    UserSignedUpEvent,
)
from models import Action, MailPurpose, OperatorAction, SignUp, User
from models.columns import now
from models.operator_action import OPERATOR_LENGTH
from models.user import address_key


async def record_action(unit: UnitOfWork, user_id: UUID, action: Action, operator: str) -> None:
    """Record what an operator does with a user's posts."""
    await unit.add(OperatorAction(user_id=user_id, action=action, operator=operator[:OPERATOR_LENGTH]))
    await unit.commit()


class OperatorService:
    """Creates, disables, enables and deletes users, and ends their sessions, for the operator of that name.

    Methods that take a user's id raise `Unauthenticated` if there is no such user.
    """

    def __init__(
        self, transactions: Transactions, passwords: Passwords, links: Links, mails: Mails, operator: str
    ) -> None:
        self._transactions = transactions
        self._passwords = passwords
        self._links = links
        self._mails = mails
        self._operator = operator[:OPERATOR_LENGTH]

    async def create(self, form: SignUp) -> UUID:
        """Create a user without a session, and return their id.

        Raises:
            EmailTaken: Another user has the address.
        """
        user = User(
            email=form.email,
            email_key=address_key(form.email),
            password_hash=await self._passwords.hash(form.password, self._operator),
        )
        await self._transactions.run(self._create, user)
        return user.id

    async def disable(self, user_id: UUID) -> None:
        """End the user's sessions and personal tokens, refuse new ones, and stop their webhooks. Their posts stay."""
        await self._transactions.run(self._disable, user_id)

    async def enable(self, user_id: UUID) -> None:
        """Let a disabled user log in again. Webhooks go on where they stopped."""
        await self._transactions.run(self._enable, user_id)

    async def end_sessions(self, user_id: UUID) -> None:
        """End every session of the user, and their personal tokens."""
        await self._transactions.run(self._end_sessions, user_id)

    async def set_password(self, user_id: UUID, password: str) -> None:
        """Replace the user's password, and end every session and personal token."""
        await self._transactions.run(self._set_password, user_id, await self._passwords.hash(password, self._operator))

    async def reset_link(self, user_id: UUID) -> str:
        """Return a link with which the user can choose a new password, as the one that is mailed.

        Raises:
            NotFound: The user is disabled, and no link works for them.
        """
        return await self._transactions.run(self._reset_link, user_id)

    async def set_limits(self, user_id: UUID, limits: Mapping[QuotaName, int | None]) -> None:
        """Set bounds of the user's own: `UNLIMITED` for none, `None` for what the settings say."""
        await self._transactions.run(self._set_limits, user_id, limits)

    async def delete(self, user_id: UUID) -> None:
        """Remove the user and all they own, for good."""
        await self._transactions.run(self._delete, user_id)

    async def _create(self, unit: UnitOfWork, user: User) -> None:
        await unit.users.add(user)
        unit.record(UserSignedUpEvent(user_id=user.id, occurred_at=user.created_at))
        await self._commit(unit, user.id, Action.CREATED)

    async def _disable(self, unit: UnitOfWork, user_id: UUID) -> None:
        user = await unit.users.lock(user_id)
        if user.disabled_at is None:
            user.disabled_at = now()
            unit.record(UserDisabledEvent(user_id=user_id, occurred_at=user.disabled_at))
        await unit.sessions.end_all(user_id)
        await unit.webhooks.end_leases(user_id)
        await self._commit(unit, user_id, Action.DISABLED)

    async def _enable(self, unit: UnitOfWork, user_id: UUID) -> None:
        user = await unit.users.lock(user_id)
        if user.disabled_at is not None:
            user.disabled_at = None
            unit.record(UserEnabledEvent(user_id=user_id, occurred_at=now()))
        await self._commit(unit, user_id, Action.ENABLED)

    async def _end_sessions(self, unit: UnitOfWork, user_id: UUID) -> None:
        await unit.users.lock(user_id)
        await unit.sessions.end_all(user_id)
        await self._commit(unit, user_id, Action.SESSIONS_ENDED)

    async def _set_password(self, unit: UnitOfWork, user_id: UUID, password_hash: str) -> None:
        user = await unit.users.lock(user_id)
        user.password_hash = password_hash
        user.password_version += 1
        await unit.sessions.end_all(user_id)
        await self._mails.queue(unit, MailPurpose.PASSWORD_CHANGED, user)
        await self._commit(unit, user_id, Action.PASSWORD_SET)

    async def _reset_link(self, unit: UnitOfWork, user_id: UUID) -> str:
        user = await unit.users.lock(user_id)
        if user.disabled_at is not None:
            raise NotFound("the user is disabled, so no link works for them; enable them first")
        claim = LinkClaim(user.id, user.password_version, user.email_version, user.email)
        await unit.add(OperatorAction(user_id=user_id, action=Action.RESET_LINK_MADE, operator=self._operator))
        await unit.commit()
        return self._links.issue(MailPurpose.PASSWORD_RESET, claim)

    async def _set_limits(self, unit: UnitOfWork, user_id: UUID, limits: Mapping[QuotaName, int | None]) -> None:
        user = await unit.users.lock(user_id)
        for quota, bound in limits.items():
            setattr(user, f"max_{quota}", bound)
        await self._commit(unit, user_id, Action.LIMITS_SET)

    async def _delete(self, unit: UnitOfWork, user_id: UUID) -> None:
        await unit.users.delete(await unit.users.lock(user_id))
        unit.record(UserErasedEvent(user_id=user_id, occurred_at=now()))
        await self._commit(unit, user_id, Action.DELETED)

    async def _commit(self, unit: UnitOfWork, user_id: UUID, action: Action) -> None:
        await unit.add(OperatorAction(user_id=user_id, action=action, operator=self._operator))
        unit.record(SessionsChanged(user_id=user_id))
        await unit.commit()
