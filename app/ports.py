"""What the use cases ask of the outside: interfaces that infrastructure fills in."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from events.types import Event, PostEvent
from models import (
    IdempotencyKey,
    Post,
    PostItem,
    PostRead,
    Session,
    SessionRead,
    User,
    UserRead,
    Webhook,
    WebhookDeliveryRead,
    WebhookRead,
)


class Page(NamedTuple):
    """A list of posts, newest first, and the timeline version that it shows.

    `next_cursor` is the position to go on below, or `None` on the last page.
    """

    version: int
    posts: list[PostItem]
    next_cursor: int | None


class StoredPassword(NamedTuple):
    """What is known of a user's password. Its version tells whether it is still the same when it was verified."""

    user_id: UUID
    hash: str
    version: int


class Users(Protocol):
    """Users, within one transaction."""

    async def add(self, user: User) -> None:
        """Insert the user; raise `EmailTaken` when another has the address."""

    async def lock(self, user_id: UUID) -> User:
        """Return the user, locked until the transaction ends; raise `Unauthenticated` when they are gone."""
        ...

    async def delete(self, user: User) -> None:
        """Remove the user and all they own."""

    async def advance_timeline(self, user_id: UUID, by: int = 1) -> int:
        """Lock the user's row, raise the timeline's version by so many changes, and return it.

        Every writer of a timeline comes through here first, so that changes of one user queue on this row and commit
        in the order of their versions; from the commit on, durable listeners have something to take. Raises
        `Unauthenticated` when the user is gone.
        """
        ...

    async def advance_timelines(self, changes: Mapping[UUID, int]) -> Mapping[UUID, int]:
        """Do the same to several users' timelines, each by its number of changes, and return their versions.

        Users who are gone are left out, and so are those who would have to be waited for.
        """
        ...


class Posts(Protocol):
    """Posts, within one transaction."""

    def add(self, post: Post) -> None:
        """Insert the post."""

    async def get(self, owner_id: UUID, post_id: UUID) -> Post:
        """Return the owner's post; raise `NotFound` when there is none, or it is someone else's."""
        ...

    async def delete(self, post: Post) -> None:
        """Remove the post."""


class Sessions(Protocol):
    """Sessions, within one transaction."""

    def add(self, session: Session) -> None:
        """Insert the session."""

    async def lock(self, session_id: UUID, at: datetime) -> Session | None:
        """Return the session, locked until the transaction ends, if it is alive at that time."""
        ...

    async def end(self, user_id: UUID, session_id: UUID) -> bool:
        """Remove the user's session; return whether there was one."""
        ...

    async def end_all(self, user_id: UUID, *, but: UUID | None = None) -> None:
        """Remove the user's sessions, all of them or all but one."""


class IdempotencyKeys(Protocol):
    """Idempotency keys, within one transaction."""

    async def get(self, user_id: UUID, key: str) -> IdempotencyKey | None:
        """Return what the user's key was used for, unless that is too long ago."""
        ...

    async def put(self, used: IdempotencyKey) -> None:
        """Keep what the key was used for, in place of an older use."""


class Webhooks(Protocol):
    """Webhooks, within one transaction."""

    def add(self, webhook: Webhook) -> None:
        """Insert the webhook."""

    async def count(self, owner_id: UUID) -> int:
        """Return how many webhooks the owner has."""
        ...

    async def remove(self, owner_id: UUID, webhook_id: UUID) -> bool:
        """Remove the owner's webhook; return whether there was one."""
        ...

    async def queue(self, owner_id: UUID, events: Sequence[PostEvent]) -> None:
        """Add the events to what the owner's webhooks are to be told, each of those it wants and once."""


class UnitOfWork(Protocol):
    """One transaction, and the events of what it changed."""

    @property
    def users(self) -> Users:
        """The users, in this transaction."""
        ...

    @property
    def posts(self) -> Posts:
        """The posts, in this transaction."""
        ...

    @property
    def sessions(self) -> Sessions:
        """The sessions, in this transaction."""
        ...

    @property
    def idempotency_keys(self) -> IdempotencyKeys:
        """The idempotency keys, in this transaction."""
        ...

    @property
    def webhooks(self) -> Webhooks:
        """The webhooks, in this transaction."""
        ...

    def record(self, event: Event) -> None:
        """Store and publish the event with this transaction's commit, or not at all."""

    async def commit(self) -> None:
        """Make everything durable, then publish the recorded events.

        When this returns, the change is committed and the bus's listeners have been told.
        """


class Units(Protocol):
    """Opens units of work."""

    def __call__(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """Begin a transaction; leaving the context without a commit rolls it back.

        Leaving it raises `Deadlocked` when the database has undone the transaction in favour of another.
        """
        ...

    async def confirm(self, user_id: UUID) -> None:
        """Make sure that every node knows the user's newest version, whoever committed it."""


class Reads(Protocol):
    """Questions, each answered from one snapshot of its own."""

    async def page(self, owner_id: UUID, limit: int | None, before: int | None) -> Page | None:
        """Return the owner's posts below position `before`, newest first, `limit` of them or all.

        It returns `None` when that is too much to hold at once, and raises `Unauthenticated` when the owner is gone.
        """
        ...

    def page_in_parts(self, owner_id: UUID, limit: int | None, before: int | None) -> AsyncIterator[Page]:
        """Yield the same, of whatever size, in parts that all show one version; there is at least one."""
        ...

    async def post(self, owner_id: UUID, post_id: UUID) -> PostRead:
        """Return the owner's post; raise `NotFound` when there is none, or it is someone else's."""
        ...

    def posts_oldest_first(self, owner_id: UUID) -> AsyncIterator[PostItem]:
        """Yield the owner's posts, oldest first, reading a few at a time, all of one snapshot."""
        ...

    async def events_after(self, user_id: UUID, version: int, limit: int) -> list[PostEvent]:
        """Return the first events of the timeline after that version, in order, as far as they are kept."""
        ...

    async def sessions(self, user_id: UUID, at: datetime) -> list[SessionRead]:
        """Return the user's sessions that are alive at that time, newest first."""
        ...

    async def webhook_owners(self, user_ids: Collection[UUID]) -> Collection[UUID]:
        """Return those of the users who have a webhook that is to be told something."""
        ...

    async def webhooks(self, owner_id: UUID) -> list[WebhookRead]:
        """Return the owner's webhooks, newest first."""
        ...

    async def webhook_deliveries(self, owner_id: UUID, webhook_id: UUID, limit: int) -> list[WebhookDeliveryRead]:
        """Return a webhook's newest deliveries, newest first.

        Raises `NotFound` when the owner has no such webhook.
        """
        ...

    async def user(self, user_id: UUID) -> UserRead:
        """Return the user; raise `Unauthenticated` when they are gone."""
        ...

    async def password_of_address(self, email: str) -> StoredPassword | None:
        """Return the password of the user with this address, if there is one."""
        ...

    async def password_of_user(self, user_id: UUID) -> StoredPassword:
        """Return the user's password; raise `Unauthenticated` when they are gone."""
        ...


class FailureLimit(Protocol):
    """Makes those wait who failed too often."""

    def attempt(self, key: str) -> AbstractAsyncContextManager[None]:
        """Enclose one attempt: it raises `TooManyRequests` when the key failed too often of late.

        An attempt that raises `InvalidCredentials` or `WrongPassword` counts as failed. The attempts of one key are
        made one after the other, so that no number of them at once gets past the limit.
        """
        ...


class Destinations(Protocol):
    """Knows which addresses may be called."""

    async def check(self, url: str) -> None:
        """Raise `InvalidRequest` when the address may not be called, or can't be."""


class Passwords(Protocol):
    """Slow hashing that never holds up the event loop. Each method raises `Overloaded` when too many wait."""

    async def hash(self, password: str) -> str:
        """Return a salted hash of the password."""
        ...

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Return whether the hash is of this password; takes as long for `None`, which is of none."""
        ...

    def is_outdated(self, password_hash: str) -> bool:
        """Return whether the hash was made with other parameters than today's."""
        ...


class AccessTokens(Protocol):
    """Draws access tokens."""

    @property
    def lifetime(self) -> int:
        """How long a token is good for, in seconds."""
        ...

    def draw(self, user_id: UUID, session_id: UUID) -> str:
        """Return a signed token that opens the user's routes while the session is alive."""
        ...
