"""A person's account: made, looked at, given another password, taken along and erased."""

from collections.abc import AsyncIterator
from uuid import UUID

from app.errors import WrongPassword
from app.ports.reads import Exported, Reads
from app.ports.security import FailureLimit, Passwords
from app.ports.transactions import UnitOfWork, Units
from app.services.repeating import repeats_when_deadlocked
from app.tokens import SessionTokens
from events.types import SessionsChanged
from models import PasswordChange, SessionRead, SignUp, TokenPair, User, UserRead


class AccountService:
    """Makes, shows, changes, exports and erases accounts."""

    def __init__(
        self, units: Units, reads: Reads, passwords: Passwords, tokens: SessionTokens, password_failures: FailureLimit
    ) -> None:
        self._units = units
        self._reads = reads
        self._passwords = passwords
        self._tokens = tokens
        self._password_failures = password_failures

    @repeats_when_deadlocked
    async def sign_up(self, form: SignUp, user_agent: str) -> TokenPair:
        """Make an account and open its first session.

        Raises:
            EmailTaken: Another account has the address.
            Overloaded: Too many passwords wait to be hashed.
        """
        user = User(email=form.email, password_hash=await self._passwords.hash(form.password))
        session, tokens = self._tokens.open(user.id, user_agent)
        async with self._units() as unit:
            await unit.users.add(user)
            unit.sessions.add(session)
            unit.record(SessionsChanged(user_id=user.id))
            await unit.commit()
        return tokens

    async def read(self, user_id: UUID) -> UserRead:
        """Return the user as they see themselves."""
        return await self._reads.user(user_id)

    @repeats_when_deadlocked
    async def change_password(self, user_id: UUID, session_id: UUID, form: PasswordChange) -> None:
        """Replace the password, and end every session but the asking one.

        Raises:
            WrongPassword: The current password is another.
            TooManyRequests: The session gave too many wrong passwords of late.
            Overloaded: Too many passwords wait to be verified.
        """
        verified = await self._verify(user_id, session_id, form.current_password)
        password_hash = await self._passwords.hash(form.new_password)
        async with self._units() as unit:
            user = await _lock(unit, user_id, verified)
            user.password_hash = password_hash
            user.password_version += 1
            await unit.sessions.end_all(user_id, but=session_id)
            unit.record(SessionsChanged(user_id=user_id))
            await unit.commit()

    async def export(self, user_id: UUID, session_id: UUID) -> AsyncIterator[Exported]:
        """Yield everything about the user, a few things at a time; see `Reads.everything`."""
        async for entry in self._reads.everything(user_id):
            if isinstance(entry, SessionRead):
                entry.is_current = entry.id == session_id
            yield entry

    @repeats_when_deadlocked
    async def erase(self, user_id: UUID, session_id: UUID, password: str) -> None:
        """Remove the user and all they own; when this returns, the address can sign up again.

        Raises:
            WrongPassword: The password is another.
            TooManyRequests: The session gave too many wrong passwords of late.
            Overloaded: Too many passwords wait to be verified.
        """
        verified = await self._verify(user_id, session_id, password)
        async with self._units() as unit:
            user = await _lock(unit, user_id, verified)
            await unit.users.delete(user)
            unit.record(SessionsChanged(user_id=user_id))
            await unit.commit()

    async def _verify(self, user_id: UUID, session_id: UUID, password: str) -> int:
        """Return the version of the user's password, once this is known to be it."""
        async with self._password_failures.attempt(session_id.hex):
            stored = await self._reads.password_of_user(user_id)
            if not await self._passwords.verify(password, stored.hash):
                raise WrongPassword
        return stored.version


async def _lock(unit: UnitOfWork, user_id: UUID, verified: int) -> User:
    """Return the user to change, whose password is still the one that was verified."""
    user = await unit.users.lock(user_id)
    if user.password_version != verified:
        raise WrongPassword
    return user
