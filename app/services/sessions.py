"""A person's sessions: opened by logging in, renewed, listed and ended."""

from datetime import timedelta
from typing import Protocol
from uuid import UUID

from app.errors import InvalidCredentials, NotFound, Unauthenticated
from app.ports.reads import Reads
from app.ports.security import FailureLimit, Passwords
from app.ports.transactions import Units
from app.services.repeating import repeats_when_deadlocked
from app.tokens import SessionTokens
from events.types import SessionsChanged
from models import LogIn, SessionRead, TokenPair
from models.columns import now

_CONCURRENT_REFRESH = timedelta(seconds=10)
_MOST_SESSIONS = 100


class KnownSession(Protocol):
    """A live session that a request proved to hold."""

    @property
    def user_id(self) -> UUID:
        """Whose it is."""
        ...

    @property
    def session_id(self) -> UUID:
        """Which it is."""
        ...


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

    @repeats_when_deadlocked
    async def log_in(self, form: LogIn, user_agent: str, known: KnownSession | None = None) -> TokenPair:
        """Open a session. An unknown address takes as long to refuse as a wrong password.

        A user has at most 100 sessions: one more ends the one that was not used for longest.

        Failed attempts on an address make further ones wait. Who proves to hold a live session of the same user waits
        only for that session's own failures: nobody is locked out by someone else's guessing.

        Raises:
            InvalidCredentials: The address is unknown or the password wrong.
            TooManyRequests: Too many attempts failed of late.
            Overloaded: Too many passwords wait to be verified.
        """
        stored = await self._reads.password_of_address(form.email)
        is_known = stored is not None and known is not None and known.user_id == stored.user_id
        async with self._log_in_failures.attempt(known.session_id.hex if known and is_known else form.email):
            is_right = await self._passwords.verify(form.password, stored.hash if stored else None)
            if stored is None or not is_right:
                raise InvalidCredentials
        rehashed = None
        if self._passwords.is_outdated(stored.hash):
            rehashed = await self._passwords.hash(form.password)
        session, tokens = self._tokens.open(stored.user_id, user_agent)
        async with self._units() as unit:
            user = await unit.users.lock(stored.user_id)
            if user.password_version != stored.version:
                # It was changed while this one was verified.
                raise InvalidCredentials
            if rehashed is not None:
                user.password_hash = rehashed
            await unit.sessions.end_unused(user.id, keep=_MOST_SESSIONS - 1)
            unit.sessions.add(session)
            unit.record(SessionsChanged(user_id=user.id))
            await unit.commit()
        return tokens

    @repeats_when_deadlocked
    async def refresh(self, refresh_token: str, user_agent: str) -> TokenPair:
        """Exchange a refresh token for new tokens; the old one is dead, and using it again ends its session.

        A client that uses one token twice within a few seconds, from two tabs say, gets the same successor both times.

        Raises:
            Unauthenticated: The token is none, or of a session that has ended, which it has now if the token is dead.
        """
        claim = self._tokens.claim(refresh_token)
        at = now()
        async with self._units() as unit:
            session = await unit.sessions.lock(claim.session_id, at)
            if session is None:
                raise Unauthenticated
            if self._tokens.is_newest(session, refresh_token):
                tokens = self._tokens.renew(session, at)
                await unit.commit()
                return tokens
            is_concurrent = (
                claim.generation == session.generation - 1
                and at - session.last_used_at <= _CONCURRENT_REFRESH
                and session.is_of(user_agent)
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

    async def log_out(self, user_id: UUID, session_id: UUID) -> None:
        """End the asking session.

        Raises:
            Unauthenticated: Another request has ended it meanwhile.
        """
        try:
            await self.end(user_id, session_id)
        except NotFound:
            raise Unauthenticated from None

    @repeats_when_deadlocked
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

    @repeats_when_deadlocked
    async def end_all(self, user_id: UUID) -> None:
        """End every session of the user, the asking one included."""
        async with self._units() as unit:
            await unit.sessions.end_all(user_id)
            unit.record(SessionsChanged(user_id=user_id))
            await unit.commit()
