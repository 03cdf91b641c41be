"""One transaction: what is changed in it, and what becomes of it."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol
from uuid import UUID

from events.types import Event, PostEvent
from models import IdempotencyKey, Post, Session, User, Webhook


class Users(Protocol):
    """Users, within one transaction."""

    async def add(self, user: User) -> None:
        """Insert the user; raise `EmailTaken` when another has the address."""

    async def lock(self, user_id: UUID) -> User:
        """Return the user, locked until the transaction ends; raise `Unauthenticated` when they are gone."""
        ...

    async def delete(self, user: User) -> None:
        """Remove the user, locked before, and all they own.

        Of somebody with a long history, what can't be reached without the user is left to be removed afterwards.
        """

    async def advance_timeline(self, user_id: UUID, by: int = 1) -> int:
        """Lock the user's row, raise the timeline's version by so many changes, and return it.

        Every writer of a timeline comes through here first, so that changes of one user queue on this row and commit
        in the order of their versions; from the commit on, durable listeners have something to take. Raises
        `Unauthenticated` when the user is gone.
        """
        ...

    async def advance_timelines(self, changes: Mapping[UUID, int]) -> Mapping[UUID, int]:
        """Do the same to several users' timelines, each by its number of changes, and return their versions.

        Users who are gone are left out, and of several also those who would have to be waited for.
        """
        ...


class Posts(Protocol):
    """Posts, within one transaction."""

    def add(self, post: Post) -> None:
        """Insert the post when all is committed; until then `get` does not find it."""

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

    async def end_unused(self, user_id: UUID, *, keep: int) -> None:
        """Remove the user's sessions but for so many that were used last."""


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
