"""Sessions: opened by logging in, renewed, and ended."""

import hashlib
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from app.auth.session_tokens import SessionTokens
from app.errors import InvalidCredentials, NotFound, Unauthenticated
from app.ports.queries import Queries, StoredPassword
from app.ports.security import UNKNOWN_CLIENT, FailureLimit, KnownClients, Passwords, Principal
from app.ports.unit_of_work import Transactions, UnitOfWork
from events.types import SessionsChanged
from models import LogIn, Session, TokenPair
from models.columns import now
from models.user import address_key


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
        *,
        log_in_failures: FailureLimit,
        account_failures: FailureLimit,
        known_clients: KnownClients,
        policy: SessionPolicy,
    ) -> None:
        self._transactions = transactions
        self._queries = queries
        self._passwords = passwords
        self._tokens = tokens
        self._log_in_failures = log_in_failures
        self._account_failures = account_failures
        self._known_clients = known_clients
        self._policy = policy

    async def log_in(
        self, form: LogIn, user_agent: str, current: Principal | None = None, *, client: str = UNKNOWN_CLIENT
    ) -> TokenPair:
        """Open a session. If the user has as many as they may have, the one that was unused for longest ends.

        An unknown address takes as long to refuse as a wrong password. Failed attempts on an account make its further
        ones from the same client wait, and very many make those of all clients wait. A request with a live session of
        the same user waits only for that session's own failures, and one from a client from which the user has logged
        in before waits only for that client's, so nobody is locked out by a stranger's guesses.

        Raises:
            InvalidCredentials: The address is unknown, the password wrong, or the user disabled.
            TooManyRequests: Too many attempts failed recently, or too many passwords of this client wait to be hashed.
            Overloaded: Too many passwords wait to be hashed.
        """
        accounts = await self._queries.passwords_of_address(form.email)
        is_own = current is not None and current.user_id in [account.user_id for account in accounts]
        by = current.user_id if current and is_own else client
        async with self._attempt(form, accounts, client, current if is_own else None):
            stored = await self._verified(form.password, accounts, by)
        new_hash = None
        if self._passwords.is_outdated(stored.hash):
            new_hash = await self._passwords.hash(form.password, by)
        session, tokens = self._tokens.open(stored.user_id, user_agent)
        await self._transactions.run_for(stored.user_id, self._open, session, stored, new_hash)
        await self._known_clients.remember(stored.user_id, client)
        return tokens

    @asynccontextmanager
    async def _attempt(
        self, form: LogIn, accounts: Sequence[StoredPassword], client: str, current: Principal | None
    ) -> AsyncIterator[None]:
        if current is not None:
            async with self._log_in_failures.attempt(current.session_id.hex):
                yield
            return
        account = account_key(form.email)
        async with AsyncExitStack() as limits:
            await limits.enter_async_context(self._log_in_failures.attempt(f"{account}:{client}"))
            if not any([await self._known_clients.knows(stored.user_id, client) for stored in accounts]):
                await limits.enter_async_context(self._account_failures.attempt(account))
            yield

    async def _verified(self, password: str, accounts: Sequence[StoredPassword], by: Hashable) -> StoredPassword:
        if not accounts:
            await self._passwords.verify(password, None, by)
        for account in accounts:
            if await self._passwords.verify(password, account.hash, by):
                return account
        raise InvalidCredentials

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
        await self._transactions.run_for(user_id, _end, user_id, session_id)

    async def end_all(self, user_id: UUID) -> None:
        """End every session of the user that a log-in opened, the current one included. Personal tokens stay."""
        await self._transactions.run_for(user_id, _end_all, user_id)

    async def _open(self, unit: UnitOfWork, session: Session, stored: StoredPassword, new_hash: str | None) -> None:
        user = await unit.users.lock(stored.user_id)
        if user.password_version != stored.version:
            # It was changed while this one was being verified.
            raise InvalidCredentials
        if user.disabled_at is not None:
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


def account_key(email: str) -> str:
    """Return the key under which limits count for an address: they may be in Redis, which is to know no addresses."""
    return hashlib.sha256(address_key(email).encode()).hexdigest()


async def _end(unit: UnitOfWork, user_id: UUID, session_id: UUID) -> None:
    if not await unit.sessions.end(user_id, session_id):
        raise NotFound(f"There is no session {session_id}.")
    unit.record(SessionsChanged(user_id=user_id))
    await unit.commit()


async def _end_all(unit: UnitOfWork, user_id: UUID) -> None:
    await unit.sessions.end_log_ins(user_id)
    unit.record(SessionsChanged(user_id=user_id))
    await unit.commit()
