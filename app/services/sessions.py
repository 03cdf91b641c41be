"""A person's sessions: opened by logging in, renewed, listed and ended."""

from datetime import timedelta
from uuid import UUID

from app.errors import InvalidCredentials, NotFound, Unauthenticated
from app.ports import FailureLimit, Passwords, Reads, Units
from app.tokens import SessionTokens
from events.types import SessionsChanged
from models import LogIn, SessionRead, TokenPair
from models.columns import now

_CONCURRENT_REFRESH = timedelta(seconds=10)


class SessionService:
    """Opens, renews, lists and ends sessions."""

    def __init__(
        self, units: Units, reads: Reads, passwords: Passwords, tokens: SessionTokens, log_in_failures: FailureLimit
    ) -> None:
        self._units = units
        self._reads = reads
        self._passwords = passwords
        self._tokens = tokens
        self._log_in_failures = log_in_failures

    async def log_in(self, form: LogIn, user_agent: str, known_user_id: UUID | None = None) -> TokenPair:
        """Open a session. An unknown address takes as long to refuse as a wrong password.

        Failed attempts on an address make further ones wait, but never those of `known_user_id`, who proved to hold a
        live session: nobody is locked out by someone else's guessing.

        Raises:
            InvalidCredentials: The address is unknown or the password wrong.
            TooManyRequests: Too many attempts on this address failed of late.
            Overloaded: Too many passwords wait to be verified.
        """
        user_id, password_hash = await self._reads.password_hash(form.email) or (None, None)
        is_known = user_id is not None and user_id == known_user_id
        if not is_known:
            await self._log_in_failures.check(form.email)
        is_right = await self._passwords.verify(form.password, password_hash)
        if not is_right or user_id is None or password_hash is None:
            if not is_known:
                await self._log_in_failures.count(form.email)
            raise InvalidCredentials
        rehashed = None
        if self._passwords.is_outdated(password_hash):
            rehashed = await self._passwords.hash(form.password)
        session, tokens = self._tokens.open(user_id, user_agent)
        async with self._units() as unit:
            user = await unit.users.lock(user_id)
            # The password may have been changed while this one was verified.
            if user.password_hash != password_hash:
                raise InvalidCredentials
            if rehashed is not None:
                user.password_hash = rehashed
            unit.sessions.add(session)
            unit.record(SessionsChanged(user_id=user_id))
            await unit.commit()
        return tokens

    async def refresh(self, refresh_token: str, user_agent: str) -> TokenPair:
        """Exchange a refresh token for new tokens; the old one is dead, and using it again ends its session.

        A client that uses one token twice within a few seconds, from two tabs say, gets the same successor both times.

        Raises:
            Unauthenticated: The token is none, or of a session that has ended, which it has now if the token is dead.
        """
        claim = self._tokens.parse(refresh_token)
        at = now()
        async with self._units() as unit:
            session = await unit.sessions.lock(claim.session_id, at)
            if session is None:
                raise Unauthenticated
            if self._tokens.is_newest(session, refresh_token):
                tokens = self._tokens.renew(session, at)
                await unit.commit()
                return tokens
            if not self._tokens.is_genuine(refresh_token):
                raise Unauthenticated
            is_concurrent = (
                claim.generation == session.generation - 1
                and at - session.last_used_at <= _CONCURRENT_REFRESH
                and session.user_agent == user_agent[:255]
            )
            if is_concurrent:
                return self._tokens.repeat(session)
            await unit.sessions.end(session.user_id, session.id)
            unit.record(SessionsChanged(user_id=session.user_id))
            await unit.commit()
        raise Unauthenticated

    async def live(self, user_id: UUID, current_id: UUID) -> list[SessionRead]:
        """Return the user's live sessions, newest first, with the current one marked."""
        sessions = await self._reads.sessions(user_id, now())
        for session in sessions:
            session.is_current = session.id == current_id
        return sessions

    async def end(self, user_id: UUID, session_id: UUID) -> None:
        """End one of the user's sessions; its tokens are refused from the next request on.

        Raises:
            NotFound: The user has no such session.
        """
        async with self._units() as unit:
            if not await unit.sessions.end(user_id, session_id):
                raise NotFound(f"There is no session {session_id}.")
            unit.record(SessionsChanged(user_id=user_id))
            await unit.commit()

    async def end_all(self, user_id: UUID) -> None:
        """End every session of the user, the asking one included."""
        async with self._units() as unit:
            await unit.sessions.end_all(user_id)
            unit.record(SessionsChanged(user_id=user_id))
            await unit.commit()
