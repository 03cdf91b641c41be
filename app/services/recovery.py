"""Recovery: a new password, and a verified or another address, by links in mails."""

from app.errors import EmailTaken, InvalidRequest, InvalidToken, Unauthenticated, WrongPassword
from app.ports.mail import LinkClaim, Links
from app.ports.queries import Queries
from app.ports.security import FailureLimit, KnownClients, Passwords, Principal, UseLimit
from app.ports.unit_of_work import Transactions, UnitOfWork
from app.services.mails import Mails
from app.services.sessions import account_key
from events.types import SessionsChanged, UserEmailChangedEvent
from models import (
    EmailChange,
    EmailConfirmation,
    Mail,
    MailPurpose,
    PasswordReset,
    PasswordResetRequest,
    User,
)
from models.columns import now


class RecoveryService:
    """Mails links on request, and does what they are for when their tokens come back.

    Mails are limited by the address that gets them, and by the client or the user that asks for them.
    """

    def __init__(
        self,
        transactions: Transactions,
        queries: Queries,
        passwords: Passwords,
        links: Links,
        mails: Mails,
        *,
        password_failures: FailureLimit,
        log_in_failures: FailureLimit,
        known_clients: KnownClients,
        mails_to_address: UseLimit,
        mails_by_client: UseLimit,
    ) -> None:
        self._transactions = transactions
        self._queries = queries
        self._passwords = passwords
        self._links = links
        self._mails = mails
        self._password_failures = password_failures
        self._log_in_failures = log_in_failures
        self._known_clients = known_clients
        self._mails_to_address = mails_to_address
        self._mails_by_client = mails_by_client

    async def request_password(self, form: PasswordResetRequest, client: str) -> None:
        """Mail a link for a new password to the address, if an enabled user has it.

        Who has it is looked up when the mail is sent, so that nothing here depends on it.

        Raises:
            MailNotConfigured: The service can't send mails.
            TooManyRequests: The client has asked for too many mails, or too many were asked for to this address.
        """
        self._mails.require()
        await self._count(MailPurpose.PASSWORD_RESET, form.email, client)
        await self._transactions.run(self._queue_reset, form.email)

    async def reset_password(self, form: PasswordReset, client: str) -> None:
        """Replace the password, and end every session and personal token. The address is verified by that.

        Raises:
            InvalidToken: The token is not valid, or not any more.
            Overloaded: Too many passwords wait to be hashed.
        """
        _, claim = self._links.verify(form.token, MailPurpose.PASSWORD_RESET)
        password_hash = await self._passwords.hash(form.new_password, client)
        await self._transactions.run(self._reset_password, claim, password_hash)
        # Neither their own failed attempts nor a stranger's may delay the first log-in with the new password.
        await self._log_in_failures.forget(f"{account_key(claim.address)}:{client}")
        await self._known_clients.remember(claim.user_id, client)

    async def request_verification(self, principal: Principal) -> None:
        """Mail a link that verifies the user's address, unless it is verified.

        Raises:
            MailNotConfigured: The service can't send mails.
            TooManyRequests: The user has asked for too many mails.
        """
        self._mails.require()
        await self._mails_by_client.hit(principal.user_id.hex)
        await self._mails_to_address.hit(f"{MailPurpose.VERIFY_EMAIL}:{principal.user_id.hex}")
        await self._transactions.run(self._queue_verification, principal)

    async def request_email(self, principal: Principal, form: EmailChange) -> None:
        """Mail a link to the new address that makes it the user's, and tell the old one.

        Raises:
            MailNotConfigured: The service can't send mails.
            WrongPassword: The password is wrong.
            InvalidRequest: The user has this address already.
            EmailTaken: Another account has the address.
            TooManyRequests: Too many mails were asked for, or the session gave too many wrong passwords recently.
            Overloaded: Too many passwords wait to be hashed.
        """
        self._mails.require()
        async with self._password_failures.attempt(principal.session_id.hex):
            stored = await self._queries.password_of_user(principal.user_id)
            if not await self._passwords.verify(form.password, stored.hash, principal.user_id):
                raise WrongPassword
        owners = [owner.user_id for owner in await self._queries.passwords_of_address(form.email)]
        if principal.user_id in owners:
            raise InvalidRequest(
                "The request has invalid fields.", [{"field": "email", "message": "This is your address already."}]
            )
        if owners:
            raise EmailTaken
        await self._count(MailPurpose.CONFIRM_EMAIL, form.email, principal.user_id.hex)
        await self._transactions.run(self._queue_change, principal, stored.version, form.email)

    async def confirm_email(self, form: EmailConfirmation) -> None:
        """Verify the user's address, or replace it by the new one, as the token says.

        Raises:
            InvalidToken: The token is not valid, or not any more.
            EmailTaken: Another account has taken the new address since.
        """
        purpose, claim = self._links.verify(form.token, MailPurpose.VERIFY_EMAIL, MailPurpose.CONFIRM_EMAIL)
        use_case = self._verify_email if purpose is MailPurpose.VERIFY_EMAIL else self._change_email
        await self._transactions.run(use_case, claim)

    async def _count(self, purpose: MailPurpose, address: str, client: str) -> None:
        await self._mails_by_client.hit(client)
        await self._mails_to_address.hit(f"{purpose}:{account_key(address)}")

    async def _queue_reset(self, unit: UnitOfWork, address: str) -> None:
        await self._mails.queue_unaddressed(unit, Mail(purpose=MailPurpose.PASSWORD_RESET, address=address))
        await unit.commit()

    async def _queue_verification(self, unit: UnitOfWork, principal: Principal) -> None:
        user = await unit.users.lock(principal.user_id)
        if user.email_verified_at is None:
            await self._mails.queue(unit, MailPurpose.VERIFY_EMAIL, user)
        await unit.commit()

    async def _queue_change(
        self, unit: UnitOfWork, principal: Principal, password_version: int, new_address: str
    ) -> None:
        user = await unit.users.lock(principal.user_id)
        if user.password_version != password_version:
            # It was changed while this one was being verified.
            raise WrongPassword
        await self._mails.queue(unit, MailPurpose.CONFIRM_EMAIL, user, new_address)
        await self._mails.queue(unit, MailPurpose.EMAIL_CHANGE_REQUESTED, user)
        await unit.commit()

    async def _reset_password(self, unit: UnitOfWork, claim: LinkClaim, password_hash: str) -> None:
        user = await _lock(unit, claim)
        if user.password_version != claim.password_version:
            raise InvalidToken
        user.password_hash = password_hash
        user.password_version += 1
        user.email_verified_at = user.email_verified_at or now()
        await unit.sessions.end_all(user.id)
        unit.record(SessionsChanged(user_id=user.id))
        await self._mails.queue(unit, MailPurpose.PASSWORD_CHANGED, user)
        await unit.commit()

    async def _verify_email(self, unit: UnitOfWork, claim: LinkClaim) -> None:
        user = await _lock(unit, claim)
        if user.email_verified_at is not None:
            raise InvalidToken
        user.email_verified_at = now()
        await unit.commit()

    async def _change_email(self, unit: UnitOfWork, claim: LinkClaim) -> None:
        user = await _lock(unit, claim)
        if user.password_version != claim.password_version:
            # Who changes the password thereby withdraws what was asked for with the old one.
            raise InvalidToken
        await self._mails.queue(unit, MailPurpose.EMAIL_CHANGED, user)
        user.email_version += 1
        user.email_verified_at = now()
        await unit.users.change_email(user, claim.address)
        unit.record(UserEmailChangedEvent(user_id=user.id, occurred_at=now()))
        await unit.commit()


async def _lock(unit: UnitOfWork, claim: LinkClaim) -> User:
    """Return the user, locked, if the claim is of their current address and they are not disabled."""
    try:
        user = await unit.users.lock(claim.user_id)
    except Unauthenticated:
        raise InvalidToken from None
    if user.disabled_at is not None or user.email_version != claim.email_version:
        raise InvalidToken
    return user
