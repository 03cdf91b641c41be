"""The domain events."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

import msgspec

EventType = Literal["post.created", "post.updated", "post.deleted"]
UserEventType = Literal["user.signed_up", "user.email_changed", "user.disabled", "user.enabled", "user.erased"]


class PostEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """A committed change to one post, at its position in the owner's timeline.

    `version` is the version that the change gave the timeline: 1 for the user's first, without gaps, in commit order.
    `traceparent` is the request's place in a trace (W3C Trace Context), if it was traced.
    """

    type: ClassVar[EventType]

    user_id: UUID
    version: int
    post_id: UUID
    occurred_at: datetime
    traceparent: str | None = None

    @property
    def data(self) -> "PostEventData":
        """The change as clients see it."""
        return PostEventData(self.post_id, self.version, self.occurred_at, self.type)


class PostCreatedEvent(PostEvent, frozen=True, kw_only=True, tag="post.created"):
    """A post was added."""

    type: ClassVar[EventType] = "post.created"


class PostUpdatedEvent(PostEvent, frozen=True, kw_only=True, tag="post.updated"):
    """A post's text was replaced."""

    type: ClassVar[EventType] = "post.updated"


class PostDeletedEvent(PostEvent, frozen=True, kw_only=True, tag="post.deleted"):
    """A post was removed."""

    type: ClassVar[EventType] = "post.deleted"


class PostEventData(msgspec.Struct, frozen=True):
    """A change as clients see it, in the feed and in webhooks: with the post's id, but not its text."""

    postID: UUID  # noqa: N815 - this service's word for a post's id
    version: int
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)]
    type: EventType


class UserEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A committed change to an account, with the user's id and never with their address.

    It is not a change of a timeline, so it has no version. It is not stored either: it is published once, in the
    process that committed the change, and lost if that process dies between the two.
    """

    type: ClassVar[UserEventType]

    user_id: UUID
    occurred_at: datetime


class UserSignedUpEvent(UserEvent, frozen=True, kw_only=True):
    """An account was created, by a person or by an operator."""

    type: ClassVar[UserEventType] = "user.signed_up"


class UserEmailChangedEvent(UserEvent, frozen=True, kw_only=True):
    """The account has another address."""

    type: ClassVar[UserEventType] = "user.email_changed"


class UserDisabledEvent(UserEvent, frozen=True, kw_only=True):
    """An operator disabled the user."""

    type: ClassVar[UserEventType] = "user.disabled"


class UserEnabledEvent(UserEvent, frozen=True, kw_only=True):
    """An operator took back that the user was disabled."""

    type: ClassVar[UserEventType] = "user.enabled"


class UserErasedEvent(UserEvent, frozen=True, kw_only=True):
    """The account is gone, with all it owned, by its owner's wish or by an operator."""

    type: ClassVar[UserEventType] = "user.erased"


class SessionsChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A user's sessions have changed: one was opened, some ended, or the user was erased.

    It is not a change of a post, so it has no version and is not stored.
    """

    user_id: UUID


class DeliveriesQueued(msgspec.Struct, frozen=True, kw_only=True):
    """Deliveries were queued for webhooks. The event is not stored; the queue is."""


class MailsQueued(msgspec.Struct, frozen=True, kw_only=True):
    """Mails were queued. The event is not stored; the queue is."""


Event = PostEvent | UserEvent | SessionsChanged | DeliveriesQueued | MailsQueued

_decoder: msgspec.json.Decoder[PostCreatedEvent | PostUpdatedEvent | PostDeletedEvent] = msgspec.json.Decoder(
    PostCreatedEvent | PostUpdatedEvent | PostDeletedEvent
)


def encode(event: PostEvent) -> bytes:
    """Return the event as the JSON that is stored, its `type` included."""
    return msgspec.json.encode(event)


def decode(payload: bytes) -> PostCreatedEvent | PostUpdatedEvent | PostDeletedEvent:
    """Return the event that `encode` made the payload of.

    Raises:
        msgspec.ValidationError: The payload is not an event of a known type.
    """
    return _decoder.decode(payload)
