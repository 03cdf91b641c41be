"""A webhook: an address that changes are sent to, and its deliveries."""

import base64
import secrets
from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AfterValidator, AnyHttpUrl, TypeAdapter
from sqlalchemy import JSON, BigInteger, String
from sqlmodel import Field, SQLModel
from uuid_utils.compat import uuid7

from events.types import EventType, PostEvent, PostEventData
from models.columns import UnicodeString, UTCDateTime, UUIDBytes, now
from models.example import POST_ID, TIME, Example

EXCERPT_LENGTH = 255
_URL_LENGTH = 2048
_SECRET_BYTES = 32

_url = TypeAdapter(AnyHttpUrl)


def _callable_url(value: str) -> str:
    url = _url.validate_python(value)
    if url.username is not None or url.password is not None:
        raise ValueError("must not contain a user name or password")
    if url.fragment is not None:
        raise ValueError("must not have a fragment")
    # The normal form is longer if the input was not ASCII.
    if len(str(url)) > _URL_LENGTH:
        raise ValueError(f"must be at most {_URL_LENGTH} characters")
    return str(url)


def _distinct(values: list[EventType]) -> list[EventType]:
    return sorted(set(values))


class WebhookBase(SQLModel):
    """Where changes are sent, and which ones."""

    url: Annotated[str, AfterValidator(_callable_url)] = Field(
        max_length=_URL_LENGTH,
        sa_type=String(_URL_LENGTH),
        description="An `https` or `http` address that can be reached publicly.",
    )
    events: Annotated[list[EventType], AfterValidator(_distinct)] = Field(
        default=["post.created", "post.updated", "post.deleted"],
        min_length=1,
        sa_type=JSON,
        description="The events to send; without it, all of them.",
    )


class Webhook(WebhookBase, table=True):
    """A stored webhook.

    Changes after `since_version` are sent to it in order. The next attempt is due at `due_at`, which is empty if
    nothing is pending, and in the future while a process holds the lease. `attempts` counts the failures of the current
    delivery.
    """

    __tablename__ = "webhooks"  # pyright: ignore[reportAssignmentType]

    id: UUID = Field(default_factory=uuid7, primary_key=True, sa_type=UUIDBytes)
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE", index=True, sa_type=UUIDBytes)
    secret: str = Field(
        default_factory=lambda: f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}",
        sa_type=String(64),
    )
    since_version: int = Field(sa_type=BigInteger)
    created_at: datetime = Field(default_factory=now, sa_type=UTCDateTime)
    due_at: datetime | None = Field(default=None, sa_type=UTCDateTime, index=True)
    attempts: int = 0
    failing_since: datetime | None = Field(default=None, sa_type=UTCDateTime)
    disabled_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    disabled_reason: str | None = Field(default=None, sa_type=String(255))

    def wants(self, event: PostEvent) -> bool:
        """Return whether the event is to be sent to the webhook."""
        return event.version > self.since_version and event.type in self.events


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
        description="The timeline's version that the change made.",
    )
    type: EventType = Field(sa_type=String(32))
    status: DeliveryStatus = Field(default=DeliveryStatus.PENDING, sa_type=String(16))
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
    """A stored delivery."""

    __tablename__ = "webhook_deliveries"  # pyright: ignore[reportAssignmentType]

    webhook_id: UUID = Field(primary_key=True, sa_type=UUIDBytes)
    post_id: UUID = Field(sa_type=UUIDBytes)
    occurred_at: datetime = Field(sa_type=UTCDateTime)

    @property
    def data(self) -> PostEventData:
        """The change as the webhook's body describes it."""
        return PostEventData(self.post_id, self.version, self.occurred_at)

    @classmethod
    def of(cls, webhook: Webhook, event: PostEvent) -> "WebhookDelivery":
        """Return the delivery of the event to the webhook."""
        return cls(
            webhook_id=webhook.id,
            version=event.version,
            type=event.type,
            post_id=event.post_id,
            occurred_at=event.occurred_at,
        )


class WebhookCreate(WebhookBase):
    """The body that registers a webhook."""

    model_config = {"extra": "forbid"}
    example: ClassVar[Example] = {"url": "https://example.com/hook", "events": ["post.created"]}


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
    }

    id: UUID
    created_at: datetime
    failing_since: datetime | None = Field(default=None, description="The time since which every attempt has failed.")
    disabled_at: datetime | None = None
    disabled_reason: str | None = Field(default=None, description="The reason why nothing is sent any more.")


class WebhookCreated(WebhookRead):
    """The answer to a registered webhook: the only one that holds the secret."""

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

    postID: UUID  # noqa: N815 - this service's word for a post's id


class WebhookDeliveryExport(WebhookDeliveryRead):
    """A delivery, with its webhook."""

    example: ClassVar[Example] = WebhookDeliveryRead.example | {"webhook_id": WebhookRead.example["id"]}

    webhook_id: UUID
