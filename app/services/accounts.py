"""How a person gets in and out: sign-up, log-in, and the sessions that these open."""

import hmac
from datetime import timedelta
from uuid import UUID

from app.errors import InvalidCredentials, Unauthenticated
from app.ports import AccessTokens, Passwords, Reads, UnitOfWork, Units
from app.refresh_tokens import RefreshTokens
from events.types import SessionsChanged
from models import LogIn, SignUp, TokenPair, User
from models.columns import now

_CONCURRENT_REFRESH = timedelta(seconds=10)


class AccountService:
    """Opens, renews and ends sessions."""

    def __init__(
        self,
        units: Units,
        reads: Reads,
        passwords: Passwords,
        access_tokens: AccessTokens,
        refresh_tokens: RefreshTokens,
    ) -> None:
        self._units = units
        self._reads = reads
        self._passwords = passwords
        self._access_tokens = access_tokens
        self._refresh_tokens = refresh_tokens

    async def sign_up(self, form: SignUp, user_agent: str) -> TokenPair:
        """Make an account and open its first session.

        Raises:
            EmailTaken: Another account has the address.
            Overloaded: Too many passwords wait to be hashed.
        """
        user = User(email=form.email, password_hash=await self._passwords.hash(form.password))
        async with self._units() as unit:
            await unit.users.add(user)
            tokens = self._open_session(unit, user.id, user_agent)
            await unit.commit()
        return tokens

    async def log_in(self, form: LogIn, user_agent: str) -> TokenPair:
        """Open a session. An unknown address takes as long to refuse as a wrong password.

        Raises:
            InvalidCredentials: The address is unknown or the password wrong.
            Overloaded: Too many passwords wait to be verified.
        """
        user_id, password_hash = await self._reads.password_hash(form.email) or (None, None)
        is_right = await self._passwords.verify(form.password, password_hash)
        if not is_right or user_id is None or password_hash is None:
            raise InvalidCredentials
        rehashed = None
        if self._passwords.is_outdated(password_hash):
            rehashed = await self._passwords.hash(form.password)
        async with self._units() as unit:
            if rehashed is not None:
                user = await unit.users.get(user_id)
                user.password_hash = rehashed
            tokens = self._open_session(unit, user_id, user_agent)
            await unit.commit()
        return tokens

    async def refresh(self, token: str, user_agent: str) -> TokenPair:
        """Exchange a refresh token for new tokens; the old one is dead, and using it again ends its session.

        A client that uses one token twice within a few seconds, from two tabs say, gets the same successor both times.

        Raises:
            Unauthenticated: The token is none, or of a session that has ended, which it has now if the token is dead.
        """
        claim = self._refresh_tokens.parse(token)
        at = now()
        async with self._units() as unit:
            session = await unit.sessions.lock(claim.session_id, at)
            if session is None:
                raise Unauthenticated
            if hmac.compare_digest(session.refresh_token_hash, self._refresh_tokens.hash(token)):
                session.generation += 1
                session.refreshed_at = session.last_used_at = at
                successor = self._refresh_tokens.draw(session.id, session.generation)
                session.refresh_token_hash = self._refresh_tokens.hash(successor)
                await unit.commit()
                return self._token_pair(session.user_id, session.id, successor)
            if not self._refresh_tokens.is_genuine(token):
                raise Unauthenticated
            is_concurrent = (
                claim.generation == session.generation - 1
                and at - session.refreshed_at <= _CONCURRENT_REFRESH
                and session.user_agent == user_agent
            )
            if is_concurrent:
                return self._token_pair(
                    session.user_id, session.id, self._refresh_tokens.draw(session.id, session.generation)
                )
            await unit.sessions.end(session.user_id, session.id)
            unit.record(SessionsChanged(user_id=session.user_id))
            await unit.commit()
        raise Unauthenticated

    async def log_out(self, user_id: UUID, session_id: UUID) -> None:
        """End the session; its tokens are refused from the next request on."""
        async with self._units() as unit:
            await unit.sessions.end(user_id, session_id)
            unit.record(SessionsChanged(user_id=user_id))
            await unit.commit()

    def _open_session(self, unit: UnitOfWork, user_id: UUID, user_agent: str) -> TokenPair:
        session, refresh_token = self._refresh_tokens.open_session(user_id, user_agent)
        unit.sessions.add(session)
        unit.record(SessionsChanged(user_id=user_id))
        return self._token_pair(user_id, session.id, refresh_token)

    def _token_pair(self, user_id: UUID, session_id: UUID, refresh_token: str) -> TokenPair:
        return TokenPair(
            access_token=self._access_tokens.draw(user_id, session_id),
            expires_in=self._access_tokens.lifetime,
            refresh_token=refresh_token,
        )
