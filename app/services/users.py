"""A user: sign-up, a new password, erasure."""

from uuid import UUID

from app.auth.session_tokens import SessionTokens
from app.errors import WrongPassword
from app.ports.queries import Queries
from app.ports.security import FailureLimit, Passwords, Principal
from app.ports.unit_of_work import Transactions, UnitOfWork
from events.types import SessionsChanged
from models import PasswordChange, Session, SignUp, TokenPair, User


class UserService:
    """Signs users up, changes their passwords, and erases them."""

    def __init__(
        self,
        transactions: Transactions,
        queries: Queries,
        passwords: Passwords,
        tokens: SessionTokens,
        password_failures: FailureLimit,
    ) -> None:
        self._transactions = transactions
        self._queries = queries
        self._passwords = passwords
        self._tokens = tokens
        self._password_failures = password_failures

    async def sign_up(self, form: SignUp, user_agent: str) -> TokenPair:
        """Create an account and its first session.

        Raises:
            EmailTaken: Another account has the address.
            Overloaded: Too many passwords wait to be hashed.
        """
        user = User(email=form.email, password_hash=await self._passwords.hash(form.password))
        session, tokens = self._tokens.open(user.id, user_agent)
        await self._transactions.run(_add_user, user, session)
        return tokens

    async def change_password(self, principal: Principal, form: PasswordChange) -> None:
        """Replace the password, and end every session except the current one.

        Raises:
            WrongPassword: The current password is wrong.
            TooManyRequests: The session gave too many wrong passwords recently.
            Overloaded: Too many passwords wait to be hashed.
        """
        password_version = await self._verify(principal, form.current_password)
        password_hash = await self._passwords.hash(form.new_password)
        await self._transactions.run(_replace_password, principal, password_version, password_hash)

    async def erase(self, principal: Principal, password: str) -> None:
        """Remove the user and all they own. When this returns, the address can sign up again.

        Raises:
            WrongPassword: The password is wrong.
            TooManyRequests: The session gave too many wrong passwords recently.
            Overloaded: Too many passwords wait to be hashed.
        """
        password_version = await self._verify(principal, password)
        await self._transactions.run(_erase, principal, password_version)

    async def _verify(self, principal: Principal, password: str) -> int:
        """Return the version of the user's password, once it is verified."""
        async with self._password_failures.attempt(principal.session_id.hex):
            stored = await self._queries.password_of_user(principal.user_id)
            if not await self._passwords.verify(password, stored.hash):
                raise WrongPassword
        return stored.version


async def _add_user(unit: UnitOfWork, user: User, session: Session) -> None:
    await unit.users.add(user)
    await unit.add(session)
    unit.record(SessionsChanged(user_id=user.id))
    await unit.commit()


async def _replace_password(unit: UnitOfWork, principal: Principal, password_version: int, password_hash: str) -> None:
    user = await _lock(unit, principal.user_id, password_version)
    user.password_hash = password_hash
    user.password_version += 1
    await unit.sessions.end_all(user.id, but=principal.session_id)
    unit.record(SessionsChanged(user_id=user.id))
    await unit.commit()


async def _erase(unit: UnitOfWork, principal: Principal, password_version: int) -> None:
    user = await _lock(unit, principal.user_id, password_version)
    await unit.users.delete(user)
    unit.record(SessionsChanged(user_id=principal.user_id))
    await unit.commit()


async def _lock(unit: UnitOfWork, user_id: UUID, password_version: int) -> User:
    """Return the user, locked, if their password is still the one that was verified."""
    user = await unit.users.lock(user_id)
    if user.password_version != password_version:
        raise WrongPassword
    return user
