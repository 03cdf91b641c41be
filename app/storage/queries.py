"""What is read outside of transactions, each from one snapshot and scoped to an owner."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar, cast
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Row, Select, case, func, or_, select
from sqlalchemy import cast as cast_to
from sqlmodel import SQLModel, col
from typing_extensions import override

from app.batching import Batching
from app.database.engines import Database
from app.errors import NotFound, SessionEnd, Unauthenticated
from app.ports.queries import Grant, Queries, StoredPassword
from app.quotas import Quotas, bound_of
from app.storage.changes import ChangeLists, ChangesPage
from app.storage.invitations import invitation_with
from app.storage.policy import ListPolicy
from app.storage.post_lists import COLUMNS, Page, PostLists
from app.storage.searches import Criteria, Searches
from app.storage.sessions import is_log_in, is_personal_token
from app.storage.small_lists import small_lists
from events.types import PostEvent, decode
from models import (
    Invitation,
    Limits,
    PersonalTokenRead,
    Post,
    PostRead,
    Quota,
    Session,
    SessionRead,
    StoredEvent,
    User,
    UserRead,
    Webhook,
    WebhookDelivery,
    WebhookDeliveryRead,
    WebhookRead,
)
from models.personal_token import NEVER
from models.user import address_key, earlier_form
from models.webhook import TEST_VERSION

DELIVERY_COLUMNS: list[Any] = [
    *(col(getattr(WebhookDelivery, name)) for name in WebhookDeliveryRead.model_fields if name != "postID"),
    col(WebhookDelivery.post_id).label("postID"),
]

# What follows the parameters: a salt of 16 bytes and a hash of 32 in Base64, and the `$` between them.
_SALT_AND_HASH_LENGTH = 22 + 1 + 43
_MAX_PARAMETERS = 8
# What is kept on the user's row is true unless a process of a version before it has written since.
_ARE_THEIRS = col(Post.user_id) == col(User.id)
_IS_COUNTED = col(User.counted_version) == col(User.timeline_version)
POST_COUNT: ColumnElement[int] = case(
    (_IS_COUNTED, col(User.post_count)),
    else_=select(func.count()).select_from(Post).where(_ARE_THEIRS).scalar_subquery(),
).label("post_count")
POST_BYTES: ColumnElement[int] = case(
    (_IS_COUNTED, col(User.post_bytes)),
    else_=cast_to(select(func.coalesce(func.sum(col(Post.size)), 0)).where(_ARE_THEIRS).scalar_subquery(), BigInteger),
).label("post_bytes")

_PASSWORD = (col(User.id), col(User.password_hash), col(User.password_version))

ReadT = TypeVar("ReadT", bound=SQLModel)


class DatabaseQueries(Queries):
    """Reads, each from one snapshot of its own and scoped to an owner."""

    def __init__(self, database: Database, policy: ListPolicy, quotas: Quotas | None = None) -> None:
        self._database = database
        self._quotas = quotas or Quotas()
        self.max_held_bytes = policy.max_held_bytes
        self._lists = PostLists(database, policy)
        self._searches = Searches(database, policy)
        self._changes = ChangeLists(database, policy)
        self._small_lists = Batching[UUID, Page | None](
            partial(small_lists, database, policy),
            max_items=policy.small_lists_per_statement,
            owner_of=lambda owner_id: owner_id,
        )
        # However many forged tokens come at once, one statement looks for them.
        self._grants_coalesced = Batching(self._grants)

    async def page(self, owner_id: UUID, limit: int | None = None, before: int | None = None) -> Page | None:
        """Return the owner's posts below position `before`, newest first: `limit` of them, or all.

        It is `None` if they are too large to hold in memory at once; `page_in_parts` reads those.

        Raises:
            Unauthenticated: There is no such owner.
        """
        is_whole = limit is None and before is None
        if is_whole and (small := await self._small_lists(owner_id)) is not None:
            return small
        return await self._lists.page(owner_id, limit, before)

    def page_in_parts(self, owner_id: UUID, limit: int | None, before: int | None) -> AsyncIterator[Page]:
        """Yield the same posts, of whatever total size, in at least one part. All parts show one version."""
        return self._lists.page_in_parts(owner_id, limit, before)

    async def search(
        self, owner_id: UUID, criteria: Criteria, limit: int | None, before: int | None
    ) -> tuple[Page, AsyncGenerator[Page] | None]:
        """Return the owner's posts below position `before` that meet the criteria, and what reads the rest.

        There is a rest only without a limit, if the posts are too large to hold. With a limit, the page may have fewer
        posts, even none, before the last one.

        Raises:
            Unauthenticated: There is no such owner.
            SearchTimedOut: There is no limit, and the search took too long.
        """
        return await self._searches.page(owner_id, criteria, limit, before)

    async def changes(self, owner_id: UUID, since: int, version: int, limit: int) -> ChangesPage:
        """Return up to `limit` of the owner's posts that changed after version `since`; fewer if they are large.

        `version` is the timeline's version as far as the caller knows.

        Raises:
            HistoryNotKept: Events after `since` were pruned, or the timeline has not come as far as that.
            Unauthenticated: There is no such owner.
        """
        return await self._changes.page(owner_id, since, version, limit)

    async def post(self, owner_id: UUID, post_id: UUID) -> PostRead:
        """Return the owner's post; raise `NotFound` if there is none, or it is someone else's."""
        statement = select(*COLUMNS).where(col(Post.id) == post_id, col(Post.user_id) == owner_id)
        row = await self._database.first_of(owner_id, statement)
        if row is None:
            raise NotFound(f"There is no post {post_id}.")
        return read_row(PostRead, row)

    @override
    async def events_after(self, user_id: UUID, version: int, limit: int) -> list[PostEvent]:
        statement = (
            select(col(StoredEvent.payload))
            .where(col(StoredEvent.user_id) == user_id, col(StoredEvent.version) > version)
            .order_by(col(StoredEvent.version))
            .limit(limit)
        )
        return [decode(payload) for (payload,) in await self._database.rows_of(user_id, statement)]

    async def sessions(self, user_id: UUID, current_session_id: UUID, at: datetime) -> list[SessionRead]:
        """Return the user's sessions that are alive at that time, newest first, with the current one marked."""
        rows = await self._database.rows_of(user_id, _sessions(user_id).where(col(Session.expires_at) > at))
        return [_session_read(row, current_session_id) for row in rows]

    async def session_end(self, user_id: UUID) -> SessionEnd:
        """Return what ended a session of the user that is over."""
        row = await self._database.first_of(user_id, select(col(User.disabled_at)).where(col(User.id) == user_id))
        if row is None:
            return "account-erased"
        return "session-ended" if row.disabled_at is None else "account-disabled"

    async def personal_tokens(self, user_id: UUID, at: datetime) -> list[PersonalTokenRead]:
        """Return the user's personal tokens that are alive at that time, newest first."""
        columns = [col(getattr(Session, name)) for name in PersonalTokenRead.model_fields]
        statement = (
            select(*columns)
            .where(col(Session.user_id) == user_id, col(Session.expires_at) > at, is_personal_token())
            .order_by(col(Session.id).desc())
        )
        return [read_personal_token(row) for row in await self._database.rows_of(user_id, statement)]

    @override
    async def grant(self, token_hash: bytes) -> Grant | None:
        return await self._grants_coalesced(token_hash)

    async def _grants(self, hashes: Sequence[bytes]) -> list[Grant | None]:
        statement = select(col(Session.token_hash), col(Session.user_id), col(Session.id), col(Session.scopes)).where(
            col(Session.token_hash).in_(set(hashes))
        )
        found = {
            token_hash: Grant(user_id, token_id, frozenset(scopes or ()))
            for token_hash, user_id, token_id, scopes in await self._database.rows(statement)
        }
        return [found.get(token_hash) for token_hash in hashes]

    async def webhook_owners(self, user_ids: Collection[UUID]) -> Collection[UUID]:
        """Return those of the users whose changes a webhook gets that is not disabled."""
        is_theirs = or_(col(Webhook.user_id).in_(user_ids), col(Webhook.user_id).is_(None))
        statement = select(col(Webhook.user_id)).where(is_theirs, col(Webhook.disabled_at).is_(None)).distinct()
        owners: set[UUID | None] = {user_id for (user_id,) in await self._database.rows(statement)}
        return user_ids if None in owners else {user_id for user_id in owners if user_id is not None}

    async def webhook(self, owner_id: UUID, webhook_id: UUID) -> WebhookRead:
        """Return the owner's webhook; raise `NotFound` if there is none."""
        row = await self._database.first_of(owner_id, _webhooks(owner_id).where(col(Webhook.id) == webhook_id))
        if row is None:
            raise NotFound(f"There is no webhook {webhook_id}.")
        return read_row(WebhookRead, row)

    async def webhooks(self, owner_id: UUID) -> list[WebhookRead]:
        """Return the owner's webhooks, newest first."""
        rows = await self._database.rows_of(owner_id, _webhooks(owner_id))
        return [read_row(WebhookRead, row) for row in rows]

    async def webhook_deliveries(self, owner_id: UUID, webhook_id: UUID, limit: int) -> list[WebhookDeliveryRead]:
        """Return a webhook's newest deliveries: its last test, and the changes, newest first.

        Raises:
            NotFound: The owner has no such webhook.
        """
        version = col(WebhookDelivery.version)
        # Joined from the webhook, so that one statement tells a missing webhook from one without deliveries.
        statement = (
            select(*DELIVERY_COLUMNS)
            .select_from(Webhook)
            .outerjoin(WebhookDelivery, col(WebhookDelivery.webhook_id) == col(Webhook.id))
            .where(col(Webhook.id) == webhook_id, col(Webhook.user_id) == owner_id)
            .order_by(version.desc())
            .limit(limit)
        )
        rows = await self._database.rows_of(owner_id, statement)
        if not rows:
            raise NotFound(f"There is no webhook {webhook_id}.")
        found = [read_row(WebhookDeliveryRead, row) for row in rows if row.version is not None]
        if len(found) == limit and found[-1].version != TEST_VERSION:
            # The test sorts behind the changes that the limit has cut off.
            row = await self._database.first_of(owner_id, statement.where(version == TEST_VERSION))
            found += [] if row is None else [read_row(WebhookDeliveryRead, row)]
        if found and found[-1].version == TEST_VERSION:
            found.insert(0, found.pop())
        return found[:limit]

    async def user(self, user_id: UUID) -> UserRead:
        """Return the user; raise `Unauthenticated` if there is none."""
        row = await self._database.first_of(user_id, user_statement(user_id))
        if row is None:
            raise Unauthenticated
        return user_read(row, self._quotas)

    @override
    async def passwords_of_address(self, email: str) -> list[StoredPassword]:
        key = address_key(email)
        statement = select(*_PASSWORD, col(User.email)).where(may_have_address(email)).order_by(col(User.id))
        rows = await self._database.rows(statement)
        # The key may be of an address that was replaced by hand.
        return [StoredPassword(*row[:-1]) for row in rows if address_key(row.email) == key]

    async def password_parameters(self) -> list[str]:
        """Return how password hashes begin, up to their salts: with the parameters they were made with."""
        size = func.length(col(User.password_hash)) - _SALT_AND_HASH_LENGTH
        beginning = func.substr(col(User.password_hash), 1, size)
        statement = select(beginning).group_by(beginning).order_by(func.count().desc()).limit(_MAX_PARAMETERS)
        return [found for (found,) in await self._database.rows(statement)]

    @override
    async def invitation(self, code_hash: str) -> Invitation | None:
        return await invitation_with(self._database, code_hash)

    @override
    async def password_of_user(self, user_id: UUID) -> StoredPassword:
        row = await self._database.first(select(*_PASSWORD).where(col(User.id) == user_id))
        if row is None:
            raise Unauthenticated
        return StoredPassword(*row)


def may_have_address(email: str) -> ColumnElement[bool]:
    """Return the condition that finds the users with this address in its stored form.

    It may also find one whose address was replaced by hand: compare the `address_key` of what it finds.
    """
    return col(User.email).in_({email, earlier_form(email)}) | (col(User.email_key) == address_key(email))


def user_statement(user_id: UUID) -> Select[*tuple[Any, ...]]:
    """Return the statement that reads a user as they see themselves: see `user_read`."""
    webhooks = select(func.count()).where(col(Webhook.user_id) == user_id).scalar_subquery()
    return select(
        col(User.id).label("user_id"),
        col(User.email),
        col(User.created_at),
        col(User.email_verified_at),
        POST_COUNT,
        POST_BYTES,
        webhooks.label("webhooks"),
        col(User.max_posts),
        col(User.max_bytes),
        col(User.max_webhooks),
    ).where(col(User.id) == user_id)


def user_read(row: Row[*tuple[Any, ...]], quotas: Quotas) -> UserRead:
    """Return a row of `user_statement` as the user sees themselves, with what quotas leave them."""
    usual = quotas.usual
    limits = Limits(
        posts=Quota(used=row.post_count, limit=bound_of(row.max_posts, usual["posts"])),
        bytes=Quota(used=row.post_bytes, limit=bound_of(row.max_bytes, usual["bytes"])),
        webhooks=Quota(used=row.webhooks, limit=bound_of(row.max_webhooks, usual["webhooks"])),
    )
    return UserRead.model_construct(
        user_id=row.user_id,
        email=row.email,
        created_at=row.created_at,
        email_verified_at=row.email_verified_at,
        post_count=row.post_count,
        limits=limits,
    )


def _sessions(user_id: UUID) -> Select[*tuple[Any, ...]]:
    columns = [col(getattr(Session, name)) for name in SessionRead.model_fields if name != "is_current"]
    return select(*columns).where(col(Session.user_id) == user_id, is_log_in()).order_by(col(Session.id).desc())


def _webhooks(owner_id: UUID) -> Select[*tuple[Any, ...]]:
    columns = [col(getattr(Webhook, name)) for name in WebhookRead.model_fields]
    return select(*columns).where(col(Webhook.user_id) == owner_id).order_by(col(Webhook.id).desc())


def _session_read(row: Row[*tuple[Any, ...]], current_session_id: UUID) -> SessionRead:
    session = read_row(SessionRead, row)
    session.is_current = session.id == current_session_id
    return session


def read_row(model: type[ReadT], row: Row[*tuple[Any, ...]]) -> ReadT:
    """Return a row as its owner sees it.

    What is stored is not input, and is not validated: it may be older than the rules of today.
    """
    return cast("ReadT", model.model_construct(**row._mapping))  # noqa: SLF001 - SQLAlchemy's public name for it


def read_personal_token(row: Row[*tuple[Any, ...]]) -> PersonalTokenRead:
    """Return a personal token as its owner sees it."""
    token = read_row(PersonalTokenRead, row)
    if token.last_used_at == token.created_at:
        token.last_used_at = None
    if token.expires_at == NEVER:
        token.expires_at = None
    return token
