"""A webhook: an address that changes are sent to, and its deliveries."""

import base64
import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, ClassVar, Literal
from uuid import UUID

import msgspec
from pydantic import AfterValidator, AnyHttpUrl, BeforeValidator, PlainSerializer, TypeAdapter
from sqlalchemy import JSON, BigInteger, Index, String
from sqlmodel import Field, SQLModel
from uuid_utils.compat import uuid7

from events.types import EventType, PostEvent, PostEventData
from models.columns import UnicodeString, UTCDateTime, UUIDBytes, now
from models.example import POST_ID, TIME, Example

EXCERPT_LENGTH = 255
TEST_TYPE: Literal["webhook.test"] = "webhook.test"
TEST_VERSION = 0
"""The version of a test, which comes before every change."""

_URL_LENGTH = 2048
_SECRET_BYTES = 32

_OLD_SECRET_LIFETIME = timedelta(hours=24)

_url = TypeAdapter(AnyHttpUrl)

DeliveryType = Literal["post.created", "post.updated", "post.deleted", "webhook.test"]


def _callable_url(value: str) -> str:
    url = _url.validate_python(value)
    if url.username is not None or url.password is not None:
        raise ValueError("must not contain a user name or password")
    if url.fragment is not None:
        raise ValueError("must not have a fragment")
    if url.port == 0:
        raise ValueError("must not have port 0, on which nothing can listen")
    # The normal form is longer if the input was not ASCII.
    if len(str(url)) > _URL_LENGTH:
        raise ValueError(f"must be at most {_URL_LENGTH} characters")
    return str(url)


def _distinct(values: list[EventType]) -> list[EventType]:
    return sorted(set(values))


def _boolean(value: object) -> object:
    # Pydantic would take words and numbers, too.
    if not isinstance(value, bool | None):
        raise ValueError("must be true or false")  # noqa: TRY004 - Pydantic's way
    return value


def _new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"


CallableURL = Annotated[str, AfterValidator(_callable_url)]
Events = Annotated[list[EventType], AfterValidator(_distinct)]


class WebhookBase(SQLModel):
    """Where changes are sent, and which ones."""

    url: CallableURL = Field(
        max_length=_URL_LENGTH,
        sa_type=String(_URL_LENGTH),
        description="An `https` or `http` address that can be reached publicly.",
    )
    events: Events = Field(
        default=["post.created", "post.updated", "post.deleted"],
        min_length=1,
        sa_type=JSON,
        description="The events to send; without it, all of them.",
    )


class Webhook(WebhookBase, table=True):
    """A stored webhook: a user's, or with no `user_id` the operator's, which gets everybody's changes.

    Changes after `since_version` are sent to it in order, and all that it wants up to `delivered_version` have been.
    While `replay_after` is set, the changes after it are still to be queued, from the stored history. The next attempt
    is due at `due_at`, which is empty if nothing is pending, and in the future while a process holds the lease.
    `attempts` counts the failures of the current delivery, and `answers_quickly` tells how the last attempt went. The
    `previous_secret` signs too until `previous_secret_until`.
    """

    __tablename__ = "webhooks"  # pyright: ignore[reportAssignmentType]

    id: UUID = Field(default_factory=uuid7, primary_key=True, sa_type=UUIDBytes)
    user_id: UUID | None = Field(
        default=None, foreign_key="users.id", ondelete="CASCADE", index=True, sa_type=UUIDBytes
    )
    secret: str = Field(default_factory=_new_secret, sa_type=String(64))
    previous_secret: str | None = Field(default=None, sa_type=String(64))
    previous_secret_until: datetime | None = Field(default=None, sa_type=UTCDateTime)
    since_version: int = Field(default=0, sa_type=BigInteger)
    delivered_version: int = Field(default=0, sa_type=BigInteger)
    replay_after: int | None = Field(default=None, sa_type=BigInteger)
    created_at: datetime = Field(default_factory=now, sa_type=UTCDateTime)
    due_at: datetime | None = Field(default=None, sa_type=UTCDateTime, index=True)
    attempts: int = 0
    failing_since: datetime | None = Field(default=None, sa_type=UTCDateTime)
    answers_quickly: bool = False
    disabled_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    disabled_reason: str | None = Field(default=None, sa_type=String(255))

    @property
    def account(self) -> UUID:
        """Whose fair share its requests count in: its owner's, or one of its own."""
        return self.user_id or self.id

    def wants(self, event: PostEvent) -> bool:
        """Return whether the event is to be sent to the webhook."""
        return event.version > self.since_version and event.type in self.events

    def disable(self, reason: str) -> None:
        """Send no more changes. What is pending waits."""
        self.disabled_at, self.disabled_reason, self.due_at = now(), reason, None

    def enable(self) -> None:
        """Send changes again, from where they stopped, as far as history is kept."""
        self.disabled_at = self.disabled_reason = None
        self._forget_failures()
        if self.user_id is not None:
            self.replay(self.delivered_version)

    def move(self, url: str) -> None:
        """Send to another address from now on, and what failed at the old one at once."""
        self.url = url
        self._forget_failures()

    def replay(self, after: int) -> None:
        """Send the changes after that version, whether they were delivered before or not.

        Those that have not been delivered yet come first: the relay may not have queued them, and leaves that to the
        replay from now on.
        """
        self.since_version = min(self.since_version, after)
        self.delivered_version = min(self.delivered_version, after)
        if self.replay_after is None or self.replay_after > self.delivered_version:
            self.replay_after = self.delivered_version

    def rotate_secret(self) -> None:
        """Sign with a new secret, and for 24 hours with the current one too."""
        self.previous_secret, self.previous_secret_until = self.secret, now() + _OLD_SECRET_LIFETIME
        self.secret = _new_secret()

    def secrets(self, at: datetime) -> list[str]:
        """Return what signs at that time, the current secret first."""
        if self.previous_secret is None or self.previous_secret_until is None or self.previous_secret_until <= at:
            return [self.secret]
        return [self.secret, self.previous_secret]

    def _forget_failures(self) -> None:
        self.attempts, self.failing_since, self.answers_quickly = 0, None, False


class DeliveryStatus(StrEnum):
    """The outcome of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class WebhookDeliveryBase(SQLModel):
    """One change that is sent to a webhook."""

    version: int = Field(
        primary_key=True,
        sa_type=BigInteger,
        sa_column_kwargs={"autoincrement": False},
        description="The timeline's version that the change made; 0 for a test.",
    )
    type: DeliveryType = Field(sa_type=String(32))
    # A row holds it as text.
    status: Annotated[DeliveryStatus, PlainSerializer(str)] = Field(default=DeliveryStatus.PENDING, sa_type=String(16))
    attempts: int = 0
    created_at: datetime = Field(default_factory=now, sa_type=UTCDateTime, index=True)
    attempted_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    response_status: int | None = Field(
        default=None, description="The status of the receiver's last answer, if there was one."
    )
    response_excerpt: str | None = Field(
        default=None,
        sa_type=UnicodeString,
        description="The beginning of that answer, or the reason why there was none.",
    )


class WebhookDelivery(WebhookDeliveryBase, table=True):
    """A stored delivery.

    Of the operator's webhooks, `version` only counts what was queued, and the change is the one that gave the timeline
    of `user_id` its `timeline_version`. A test has a `post_id` of its own.
    """

    __tablename__ = "webhook_deliveries"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (Index("ix_webhook_deliveries_user_id_timeline_version", "user_id", "timeline_version"),)

    webhook_id: UUID = Field(primary_key=True, sa_type=UUIDBytes)
    post_id: UUID = Field(sa_type=UUIDBytes)
    occurred_at: datetime = Field(sa_type=UTCDateTime)
    user_id: UUID | None = Field(default=None, sa_type=UUIDBytes)
    timeline_version: int | None = Field(default=None, sa_type=BigInteger)

    @property
    def message_id(self) -> str:
        """What the receiver knows a repeated delivery by."""
        if self.type == TEST_TYPE:
            return f"msg_{self.webhook_id.hex}_test_{self.post_id.hex}"
        if self.user_id is not None:
            return f"msg_{self.webhook_id.hex}_{self.user_id.hex}_{self.timeline_version}"
        return f"msg_{self.webhook_id.hex}_{self.version}"

    @property
    def data(self) -> "PostEventData | UserPostEventData | TestEventData":
        """What the webhook's body says."""
        if self.type == TEST_TYPE:
            return TestEventData(self.webhook_id)
        if self.user_id is not None and self.timeline_version is not None:
            return UserPostEventData(self.user_id, self.post_id, self.timeline_version, self.occurred_at, self.type)
        return PostEventData(self.post_id, self.version, self.occurred_at, self.type)

    def as_read(self) -> "WebhookDeliveryRead":
        """Return the delivery as the webhook's owner sees it."""
        return WebhookDeliveryRead.model_construct(**self.model_dump(), postID=self.post_id)

    @classmethod
    def of(cls, webhook: Webhook, event: PostEvent) -> "WebhookDelivery":
        """Return the delivery of the event to its user's webhook."""
        return cls(
            webhook_id=webhook.id,
            version=event.version,
            type=event.type,
            post_id=event.post_id,
            occurred_at=event.occurred_at,
        )

    @classmethod
    def of_anybody(cls, webhook: Webhook, event: PostEvent, number: int) -> "WebhookDelivery":
        """Return the delivery of the event to the operator's webhook, as the one with this number."""
        return cls(
            webhook_id=webhook.id,
            version=number,
            type=event.type,
            post_id=event.post_id,
            occurred_at=event.occurred_at,
            user_id=event.user_id,
            timeline_version=event.version,
        )

    @classmethod
    def test_of(cls, webhook: Webhook) -> "WebhookDelivery":
        """Return a test of the webhook."""
        return cls(webhook_id=webhook.id, version=TEST_VERSION, type=TEST_TYPE, post_id=uuid7(), occurred_at=now())


class TestEventData(msgspec.Struct, frozen=True):
    """What a test is about."""

    webhook_id: UUID


class UserPostEventData(msgspec.Struct, frozen=True):
    """A change as the operator's webhooks get it: with whose it is."""

    user_id: UUID
    postID: UUID  # noqa: N815 - this service's word for a post's id
    version: int
    occurred_at: datetime
    type: DeliveryType


class WebhookCreate(WebhookBase):
    """The body that registers a webhook."""

    model_config = {"extra": "forbid"}
    example: ClassVar[Example] = {"url": "https://example.com/hook", "events": ["post.created"]}


class WebhookUpdate(SQLModel):
    """The body that changes a webhook. What is absent or `null` stays as it is."""

    model_config = {"extra": "forbid"}
    example: ClassVar[Example] = {"enabled": True, "url": "https://example.com/new-hook"}

    enabled: Annotated[bool | None, BeforeValidator(_boolean)] = Field(
        default=None,
        description="`false` sends nothing more; `true` goes on where it stopped, as far as history is kept.",
    )
    url: CallableURL | None = Field(
        default=None,
        max_length=_URL_LENGTH,
        description="An `https` or `http` address that can be reached publicly. What waits is sent there at once.",
    )
    events: Events | None = Field(default=None, min_length=1, description="The events to send of changes from now on.")


class WebhookReplay(SQLModel):
    """The body that has changes delivered again."""

    model_config = {"extra": "forbid"}
    example: ClassVar[Example] = {"after": 17}

    after: int = Field(
        ge=0,
        le=2**63 - 1,
        description="A version of the timeline: all changes after it are delivered, in order.",
    )


class WebhookRead(WebhookBase):
    """A webhook as its owner sees it."""

    example: ClassVar[Example] = {
        "id": "01a20544-8e94-7b16-a3b3-5b9a9a0a4f0e",
        "url": "https://example.com/hook",
        "events": ["post.created"],
        "created_at": TIME,
        "failing_since": None,
        "disabled_at": None,
        "disabled_reason": None,
        "previous_secret_until": None,
    }

    id: UUID
    created_at: datetime
    failing_since: datetime | None = Field(default=None, description="The time since which every attempt has failed.")
    disabled_at: datetime | None = None
    disabled_reason: str | None = Field(default=None, description="The reason why nothing is sent any more.")
    previous_secret_until: datetime | None = Field(
        default=None, description="The time until which the secret before the current one signs too."
    )


class WebhookCreated(WebhookRead):
    """The answer that holds a new secret: it is not shown again."""

    example: ClassVar[Example] = WebhookRead.example | {"secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDazfjCqwmOoA="}

    secret: str = Field(description="Verifies the signatures (Standard Webhooks).")


class WebhookDeliveryRead(WebhookDeliveryBase):
    """A delivery as its owner sees it."""

    example: ClassVar[Example] = {
        "postID": POST_ID,
        "version": 17,
        "type": "post.created",
        "status": "delivered",
        "attempts": 1,
        "created_at": TIME,
        "attempted_at": "2026-01-02T03:04:05.878901Z",
        "response_status": 200,
        "response_excerpt": "ok",
    }

    postID: UUID = Field(  # noqa: N815 - this service's word for a post's id
        description="The post that was changed; of a test, an id of its own."
    )


class WebhookDeliveryExport(WebhookDeliveryRead):
    """A delivery, with its webhook."""

    example: ClassVar[Example] = WebhookDeliveryRead.example | {"webhook_id": WebhookRead.example["id"]}

    webhook_id: UUID
