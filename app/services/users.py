"""A user: sign-up, a new password, erasure."""

from uuid import UUID

from app.auth.session_tokens import SessionTokens
from app.errors import InvalidInvite, SignUpClosed, WrongPassword
from app.ports.queries import Queries
from app.ports.security import UNKNOWN_CLIENT, FailureLimit, KnownClients, Passwords, Principal
from app.ports.unit_of_work import Transactions, UnitOfWork
from app.services.mails import Mails
from events.types import SessionsChanged, UserErasedEvent, UserSignedUpEvent
from models import MailPurpose, PasswordChange, Session, SignUp, SignUpPolicy, TokenPair, User
from models.columns import now
from models.invitation import hash_code
from models.user import address_key


class UserService:
    """Signs users up, changes their passwords, and erases them."""

    def __init__(
        self,
        transactions: Transactions,
        queries: Queries,
        passwords: Passwords,
        tokens: SessionTokens,
        *,
        password_failures: FailureLimit,
        mails: Mails,
        known_clients: KnownClients,
        sign_up_policy: SignUpPolicy,
    ) -> None:
        self._transactions = transactions
        self._queries = queries
        self._passwords = passwords
        self._tokens = tokens
        self._password_failures = password_failures
        self._mails = mails
        self._known_clients = known_clients
        self._sign_up_policy = sign_up_policy

    async def sign_up(self, form: SignUp, user_agent: str, *, client: str = UNKNOWN_CLIENT) -> TokenPair:
        """Create an account and its first session, and use up the invitation where one is needed.

        Raises:
            SignUpClosed: The service takes no new accounts.
            InvalidInvite: An invitation is needed, and this is none that admits this address now.
            EmailTaken: Another account has the address.
            TooManyRequests: Too many passwords of this client wait to be hashed.
            Overloaded: Too many passwords wait to be hashed.
        """
        # Before the password is hashed, which costs much more than to refuse.
        invitation_id = await self._invitation_of(form)
        user = User(
            email=form.email,
            email_key=address_key(form.email),
            password_hash=await self._passwords.hash(form.password, client),
        )
        session, tokens = self._tokens.open(user.id, user_agent)
        await self._transactions.run(self._add_user, user, session, invitation_id)
        await self._known_clients.remember(user.id, client)
        return tokens

    async def change_password(self, principal: Principal, form: PasswordChange) -> None:
        """Replace the password, and end every session except the current one. Personal tokens stay.

        Raises:
            WrongPassword: The current password is wrong.
            TooManyRequests: The session gave too many wrong passwords recently, or too many of the user's wait.
            Overloaded: Too many passwords wait to be hashed.
        """
        password_version = await self._verify(principal, form.current_password)
        password_hash = await self._passwords.hash(form.new_password, principal.user_id)
        await self._transactions.run_for(
            principal.user_id, self._replace_password, principal, password_version, password_hash
        )

    async def erase(self, principal: Principal, password: str) -> None:
        """Remove the user and all they own. When this returns, the address can sign up again.

        Raises:
            WrongPassword: The password is wrong.
            TooManyRequests: The session gave too many wrong passwords recently, or too many of the user's wait.
            Overloaded: Too many passwords wait to be hashed.
        """
        password_version = await self._verify(principal, password)
        await self._transactions.run_for(principal.user_id, _erase, principal, password_version)

    async def _invitation_of(self, form: SignUp) -> UUID | None:
        """Return the id of the invitation that admits the address, or `None` if none is needed."""
        if self._sign_up_policy is SignUpPolicy.CLOSED:
            raise SignUpClosed
        if self._sign_up_policy is SignUpPolicy.OPEN:
            return None
        invitation = await self._queries.invitation(hash_code(form.invite or ""))
        if invitation is None or not invitation.admits(form.email, now()):
            raise InvalidInvite
        return invitation.id

    async def _verify(self, principal: Principal, password: str) -> int:
        """Return the version of the user's password, once it is verified."""
        async with self._password_failures.attempt(principal.session_id.hex):
            stored = await self._queries.password_of_user(principal.user_id)
            if not await self._passwords.verify(password, stored.hash, principal.user_id):
                raise WrongPassword
        return stored.version

    async def _add_user(self, unit: UnitOfWork, user: User, session: Session, invitation_id: UUID | None) -> None:
        # The invitation comes first: without a valid one, nobody finds out which addresses are taken.
        if invitation_id is None:
            await unit.users.add(user)
        else:
            await _add_invited(unit, user, invitation_id)
        await unit.add(session)
        unit.record(UserSignedUpEvent(user_id=user.id, occurred_at=user.created_at))
        unit.record(SessionsChanged(user_id=user.id))
        if self._mails.greets:
            await self._mails.queue(unit, MailPurpose.VERIFY_EMAIL, user)
        await unit.commit()

    async def _replace_password(
        self, unit: UnitOfWork, principal: Principal, password_version: int, password_hash: str
    ) -> None:
        user = await _lock(unit, principal.user_id, password_version)
        user.password_hash = password_hash
        user.password_version += 1
        await unit.sessions.end_log_ins(user.id, but=principal.session_id)
        unit.record(SessionsChanged(user_id=user.id))
        await self._mails.queue(unit, MailPurpose.PASSWORD_CHANGED, user)
        await unit.commit()


async def _add_invited(unit: UnitOfWork, user: User, invitation_id: UUID) -> None:
    invitation = await unit.invitations.lock(invitation_id)
    if invitation is None or not invitation.admits(user.email, now()):
        # It was used or revoked while the password was being hashed.
        raise InvalidInvite
    await unit.users.add(user)
    invitation.used_at, invitation.used_by = now(), user.id


async def _erase(unit: UnitOfWork, principal: Principal, password_version: int) -> None:
    user = await _lock(unit, principal.user_id, password_version)
    await unit.users.delete(user)
    unit.record(UserErasedEvent(user_id=principal.user_id, occurred_at=now()))
    unit.record(SessionsChanged(user_id=principal.user_id))
    await unit.commit()


async def _lock(unit: UnitOfWork, user_id: UUID, password_version: int) -> User:
    """Return the user, locked, if their password is still the one that was verified."""
    user = await unit.users.lock(user_id)
    if user.password_version != password_version:
        raise WrongPassword
    return user
