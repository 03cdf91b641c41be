"""What is read outside of transactions."""

from collections.abc import AsyncIterator, Collection
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from events.types import PostEvent
from models import (
    PostItem,
    PostRead,
    SessionRead,
    UserRead,
    WebhookDeliveryExport,
    WebhookDeliveryRead,
    WebhookRead,
)

Exported = UserRead | PostItem | SessionRead | WebhookRead | WebhookDeliveryExport
"""One thing that is kept about a user."""


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

    def everything(self, user_id: UUID) -> AsyncIterator[Exported]:
        """Yield the user, their posts, oldest first, their sessions, and each webhook with its deliveries after it.

        A few are read at a time, all of one snapshot. It raises `Unauthenticated` when the user is gone.
        """
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
