"""Personal tokens: issued and revoked."""

from uuid import UUID

from uuid_utils.compat import uuid7

from app.auth.personal_tokens import hash_of, issue
from app.errors import NotFound, TooManyTokens, Unauthenticated
from app.ports.security import Principal
from app.ports.unit_of_work import Transactions, UnitOfWork
from events.types import SessionsChanged
from models import PersonalTokenCreate, PersonalTokenCreated, Session
from models.columns import now
from models.personal_token import NEVER

MAX_TOKENS = 50


class PersonalTokenService:
    """Issues and revokes one user's personal tokens."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def create(self, principal: Principal, form: PersonalTokenCreate) -> PersonalTokenCreated:
        """Issue a token. It is good from the next request on, also after the session that asks has ended.

        Raises:
            TooManyTokens: The user has as many as one user may have.
            Unauthenticated: The session that asks has ended meanwhile.
        """
        return await self._transactions.run_for(principal.user_id, _create, principal, form)

    async def end(self, user_id: UUID, token_id: UUID) -> None:
        """Revoke one of the user's tokens. It is refused from the next request on.

        Raises:
            NotFound: The user has no such token.
        """
        await self._transactions.run_for(user_id, _end, user_id, token_id)

    async def end_all(self, user_id: UUID) -> None:
        """Revoke every token of the user."""
        await self._transactions.run_for(user_id, _end_all, user_id)


async def _create(unit: UnitOfWork, principal: Principal, form: PersonalTokenCreate) -> PersonalTokenCreated:
    # Under the user's lock, so that the count stays true.
    user = await unit.users.lock(principal.user_id)
    at = now()
    # A reset of the password or an operator, who ends all, may have come between: nothing must outlive that.
    if await unit.sessions.lock(principal.session_id, at) is None:
        raise Unauthenticated
    if await unit.personal_tokens.count(user.id, at) >= MAX_TOKENS:
        raise TooManyTokens(f"There can be {MAX_TOKENS} personal tokens; revoke one first.")
    token = issue()
    session = Session(
        id=uuid7(),
        user_id=user.id,
        name=form.name,
        scopes=list[str](form.scopes),
        token_hash=hash_of(token),
        created_at=at,
        last_used_at=at,
        expires_at=form.expires_at or NEVER,
        generation=0,
        refresh_token_hash="",
    )
    await unit.add(session)
    unit.record(SessionsChanged(user_id=user.id))
    await unit.commit()
    return PersonalTokenCreated(
        id=session.id,
        name=form.name,
        scopes=form.scopes,
        created_at=at,
        last_used_at=None,
        expires_at=form.expires_at,
        token=token,
    )


async def _end(unit: UnitOfWork, user_id: UUID, token_id: UUID) -> None:
    if not await unit.personal_tokens.end(user_id, token_id):
        raise NotFound(f"There is no personal token {token_id}.")
    unit.record(SessionsChanged(user_id=user_id))
    await unit.commit()


async def _end_all(unit: UnitOfWork, user_id: UUID) -> None:
    await unit.personal_tokens.end_all(user_id)
    unit.record(SessionsChanged(user_id=user_id))
    await unit.commit()
