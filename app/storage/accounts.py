"""What operators read about users."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, and_, func, select
from sqlmodel import col

from app.database.engines import Database
from app.storage.queries import POST_BYTES, POST_COUNT, may_have_address
from app.storage.sessions import is_log_in, is_personal_token
from models import OperatorAction, Session, User, Webhook
from models.columns import now
from models.user import address_key


class Account(NamedTuple):
    """A user as an operator sees them: counts, and no contents.

    The bounds are those that are set for this user, `UNLIMITED` if there are to be none, and `None` if the settings
    apply.
    """

    user_id: UUID
    email: str
    created_at: datetime
    disabled_at: datetime | None
    posts: int
    bytes: int
    sessions: int
    webhooks: int
    max_posts: int | None
    max_bytes: int | None
    max_webhooks: int | None
    tokens: int


class AccountQueries:
    """Reads users for operators, not scoped to an owner."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, limit: int, after: UUID | None = None) -> Sequence[Account]:
        """Return users in the order of their sign-up, after the one with this id."""
        statement = _accounts().order_by(col(User.id)).limit(limit)
        if after is not None:
            statement = statement.where(col(User.id) > after)
        return [Account._make(row) for row in await self._database.rows(statement)]

    async def find(self, email: str) -> Account | None:
        """Return the user with this address, as it is stored."""
        key = address_key(email)
        rows = await self._database.rows(_accounts().where(may_have_address(email)))
        found = [account for account in map(Account._make, rows) if address_key(account.email) == key]
        # Two old accounts may have addresses that differ in case only: then the one that was named.
        return min(found, key=lambda account: account.email != email, default=None)

    async def actions(self, user_id: UUID) -> Sequence[tuple[datetime, str, str]]:
        """Return what operators did to the user, oldest first: when, what, and who."""
        statement = (
            select(col(OperatorAction.at), col(OperatorAction.action), col(OperatorAction.operator))
            .where(col(OperatorAction.user_id) == user_id)
            .order_by(col(OperatorAction.id))
        )
        return [(at, action, operator) for at, action, operator in await self._database.rows(statement)]


def _accounts() -> Select[*tuple[Any, ...]]:
    are_live = and_(col(Session.user_id) == col(User.id), col(Session.expires_at) > now())
    return select(
        col(User.id),
        col(User.email),
        col(User.created_at),
        col(User.disabled_at),
        POST_COUNT,
        POST_BYTES,
        select(func.count()).select_from(Session).where(are_live, is_log_in()).scalar_subquery(),
        select(func.count()).select_from(Webhook).where(col(Webhook.user_id) == col(User.id)).scalar_subquery(),
        col(User.max_posts),
        col(User.max_bytes),
        col(User.max_webhooks),
        select(func.count()).select_from(Session).where(are_live, is_personal_token()).scalar_subquery(),
    )
