"""Sessions: opened by logging in, renewed, and ended."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from app.auth.session_tokens import SessionTokens
from app.errors import InvalidCredentials, NotFound, Unauthenticated
from app.ports.queries import Queries, StoredPassword
from app.ports.security import FailureLimit, Passwords, Principal
from app.ports.unit_of_work import Transactions, UnitOfWork
from events.types import SessionsChanged
from models import LogIn, Session, TokenPair
from models.columns import now


@dataclass(frozen=True)
class SessionPolicy:
    """How many sessions a user may have, and how long a replaced refresh token may be used once more.

    Two tabs of one browser may exchange the same refresh token at once. Within `concurrent_refresh` of the first
    exchange the second gets the same new token, and the session is not revoked.
    """

    max_sessions: int = 100
    concurrent_refresh: timedelta = timedelta(seconds=10)


class SessionService:
    """Opens, renews and ends sessions."""

    def __init__(
        self,
        transactions: Transactions,
        queries: Queries,
        passwords: Passwords,
        tokens: SessionTokens,
        log_in_failures: FailureLimit,
        *,
        policy: SessionPolicy,
    ) -> None:
        self._transactions = transactions
        self._queries = queries
        self._passwords = passwords
        self._tokens = tokens
        self._log_in_failures = log_in_failures
        self._policy = policy

    async def log_in(self, form: LogIn, user_agent: str, current: Principal | None = None) -> TokenPair:
        """Open a session. If the user has as many as they may have, the one that was unused for longest ends.

        An unknown address takes as long to refuse as a wrong password. Failed attempts on an address make further ones
        wait. A request with a live session of the same user waits only for that session's own failures, so nobody is
        locked out by a stranger's guesses.

        Raises:
            InvalidCredentials: The address is unknown or the password wrong.
            TooManyRequests: Too many attempts failed recently.
            Overloaded: Too many passwords wait to be hashed.
        """
        stored = await self._queries.password_of_address(form.email)
        has_session = stored is not None and current is not None and current.user_id == stored.user_id
        async with self._log_in_failures.attempt(current.session_id.hex if current and has_session else form.email):
            is_right = await self._passwords.verify(form.password, stored.hash if stored else None)
            if stored is None or not is_right:
                raise InvalidCredentials
        new_hash = None
        if self._passwords.is_outdated(stored.hash):
            new_hash = await self._passwords.hash(form.password)
        session, tokens = self._tokens.open(stored.user_id, user_agent)
        await self._transactions.run(self._open, session, stored, new_hash)
        return tokens

    async def refresh(self, refresh_token: str, user_agent: str) -> TokenPair:
        """Exchange a refresh token for new tokens. The old one is then dead, and using it again revokes the session.

        Raises:
            Unauthenticated: The token is invalid, dead, or of a session that has ended.
        """
        tokens = await self._transactions.run(self._refresh, refresh_token, user_agent)
        if tokens is None:
            raise Unauthenticated
        return tokens

    async def log_out(self, principal: Principal) -> None:
        """End the current session.

        Raises:
            Unauthenticated: Another request has ended it meanwhile.
        """
        try:
            await self.end(principal.user_id, principal.session_id)
        except NotFound:
            raise Unauthenticated from None

    async def end(self, user_id: UUID, session_id: UUID) -> None:
        """End one of the user's sessions. Its tokens are refused from the next request on.

        Raises:
            NotFound: The user has no such session.
        """
        await self._transactions.run(_end, user_id, session_id)

    async def end_all(self, user_id: UUID) -> None:
        """End every session of the user, the current one included."""
        await self._transactions.run(_end_all, user_id)

    async def _open(self, unit: UnitOfWork, session: Session, stored: StoredPassword, new_hash: str | None) -> None:
        user = await unit.users.lock(stored.user_id)
        if user.password_version != stored.version:
            # It was changed while this one was being verified.
            raise InvalidCredentials
        if new_hash is not None:
            user.password_hash = new_hash
        await unit.sessions.end_unused(user.id, keep=self._policy.max_sessions - 1)
        await unit.add(session)
        unit.record(SessionsChanged(user_id=user.id))
        await unit.commit()

    async def _refresh(self, unit: UnitOfWork, refresh_token: str, user_agent: str) -> TokenPair | None:
        """Return new tokens, or `None` if the token was dead, and its session therefore revoked."""
        claim = self._tokens.claim(refresh_token)
        at = now()
        session = await unit.sessions.lock(claim.session_id, at)
        if session is None:
            raise Unauthenticated
        if self._tokens.is_newest(session, refresh_token):
            tokens = self._tokens.renew(session, at)
            await unit.commit()
            return tokens
        is_concurrent = (
            claim.generation == session.generation - 1
            and at - session.last_used_at <= self._policy.concurrent_refresh
            and session.is_of(user_agent)
        )
        if is_concurrent:
            tokens = self._tokens.repeat(session)
            await unit.rollback()
            return tokens
        await unit.sessions.end(session.user_id, session.id)
        unit.record(SessionsChanged(user_id=session.user_id))
        await unit.commit()
        return None


async def _end(unit: UnitOfWork, user_id: UUID, session_id: UUID) -> None:
    if not await unit.sessions.end(user_id, session_id):
        raise NotFound(f"There is no session {session_id}.")
    unit.record(SessionsChanged(user_id=user_id))
    await unit.commit()


async def _end_all(unit: UnitOfWork, user_id: UUID) -> None:
    await unit.sessions.end_all(user_id)
    unit.record(SessionsChanged(user_id=user_id))
    await unit.commit()
