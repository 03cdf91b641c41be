"""A post: a text that its owner wrote."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import ClassVar, Self
from uuid import UUID

import msgspec
from pydantic import AwareDatetime, model_validator
from sqlalchemy import BigInteger, UniqueConstraint
from sqlmodel import Field, SQLModel
from uuid_utils.compat import uuid7

from events import types as events
from models.columns import LongText, UTCDateTime, UUIDBytes, now
from models.example import POST_ID, TIME, Example
from models.rows import valid_row
from models.text import StorableText

_TICK = timedelta(microseconds=1)

# Clocks of two machines may differ by so much.
_CLOCK_TOLERANCE = timedelta(minutes=5)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_VERSION = 2**31 - 1


class PostBase(SQLModel):
    """The fields of a post that its owner writes."""

    text: StorableText = Field(
        min_length=1,
        sa_type=LongText,
        description="Any Unicode text of at least one character; the body limit of 1 MiB is its only upper bound.",
    )


class Post(PostBase, table=True):
    """A stored post.

    `position` is the version its owner's timeline had when it was created: posts of one user sort by it in commit
    order, and no two share it. `version` counts the post's own edits, from 1. `size` is the size of the text in
    bytes, stored because MySQL would have to read a long text to measure it.
    """

    __tablename__ = "posts"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (UniqueConstraint("user_id", "position"),)

    id: UUID = Field(primary_key=True, sa_type=UUIDBytes)
    user_id: UUID = Field(sa_type=UUIDBytes)
    position: int = Field(sa_type=BigInteger)
    version: int = 1
    size: int
    created_at: datetime = Field(sa_type=UTCDateTime)
    updated_at: datetime = Field(sa_type=UTCDateTime)

    @classmethod
    def write(cls, owner_id: UUID, draft: PostBase, timeline_version: int) -> tuple[Self, events.PostCreatedEvent]:
        """Return a new post and its event, at the version that the owner's timeline was advanced to."""
        at, post_id = now(), uuid7()
        post = valid_row(
            cls,
            id=post_id,
            user_id=owner_id,
            text=draft.text,
            size=_size(draft.text),
            position=timeline_version,
            version=1,
            created_at=at,
            updated_at=at,
        )
        return post, events.PostCreatedEvent(
            user_id=owner_id, version=timeline_version, post_id=post_id, occurred_at=at
        )

    @classmethod
    def imported(
        cls, owner_id: UUID, source: "PostImport", timeline_version: int
    ) -> tuple[Self, events.PostCreatedEvent]:
        """Return a post as it was exported, and the event of its creation here."""
        post = valid_row(
            cls,
            id=source.id_for(owner_id),
            user_id=owner_id,
            text=source.text,
            size=_size(source.text),
            position=timeline_version,
            version=source.version,
            created_at=source.created_at,
            updated_at=source.updated_at,
        )
        # The exporting machine's clock may be ahead, and an event that is older than its post is not the post's newest.
        return post, events.PostCreatedEvent(
            user_id=owner_id, version=timeline_version, post_id=post.id, occurred_at=max(now(), post.updated_at)
        )

    def rewrite(self, edit: PostBase, timeline_version: int) -> events.PostUpdatedEvent:
        """Replace the text, and return the event of the change."""
        self.text, self.size = edit.text, _size(edit.text)
        self.version += 1
        # Later than before, whatever the clock says: an event that is older than this is not the post's newest.
        self.updated_at = max(now(), self.updated_at + _TICK)
        return events.PostUpdatedEvent(
            user_id=self.user_id, version=timeline_version, post_id=self.id, occurred_at=self.updated_at
        )

    def removed(self, timeline_version: int) -> events.PostDeletedEvent:
        """Return the event of this post's removal."""
        return events.PostDeletedEvent(
            user_id=self.user_id, version=timeline_version, post_id=self.id, occurred_at=now()
        )

    def as_read(self) -> "PostRead":
        """Return the post as its owner reads it."""
        return PostRead(
            postID=self.id,
            text=self.text,
            created_at=self.created_at,
            updated_at=self.updated_at,
            version=self.version,
        )


def _size(text: str) -> int:
    return len(text.encode())


class PostCreate(PostBase):
    """The body that adds a post."""

    model_config = {"extra": "forbid"}
    example: ClassVar[Example] = {"text": "Hello, timeline! 👋"}

    @property
    def size(self) -> int:
        """The size of the text in bytes."""
        return _size(self.text)


class PostUpdate(PostBase):
    """The body that replaces a post's text."""

    model_config = {"extra": "forbid"}
    example: ClassVar[Example] = {"text": "Hello again, timeline!"}


class PostCreated(SQLModel):
    """The answer to a created post."""

    example: ClassVar[Example] = {"postID": POST_ID}

    postID: UUID  # noqa: N815 - this service's word for a post's id


class PostItem(msgspec.Struct, frozen=True):
    """A post in a list: the fields of `PostRead`, cheap to create and encode in large numbers."""

    postID: UUID  # noqa: N815
    text: str
    created_at: datetime
    updated_at: datetime
    version: int


class PostRead(PostBase):
    """A post as its owner reads it."""

    example: ClassVar[Example] = {
        "postID": POST_ID,
        "text": "Hello, timeline! 👋",
        "created_at": TIME,
        "updated_at": TIME,
        "version": 1,
    }

    postID: UUID  # noqa: N815
    created_at: datetime
    updated_at: datetime
    version: int = Field(ge=1, description="Counts the post's own edits, from 1; quoted, it is the post's ETag.")


class PostImport(PostBase):
    """A post as a line of an export has it. Fields that it has besides are ignored."""

    postID: UUID  # noqa: N815 - this service's word for a post's id
    created_at: AwareDatetime
    updated_at: AwareDatetime
    version: int = Field(ge=1, le=_MAX_VERSION)

    @model_validator(mode="after")
    def _times_can_be(self) -> Self:
        if self.created_at < _EPOCH:
            raise ValueError("created_at is before 1970")
        if self.updated_at < self.created_at:
            raise ValueError("updated_at is before created_at")
        if self.updated_at > now() + _CLOCK_TOLERANCE:
            raise ValueError("the post is of the future")
        return self

    def id_for(self, owner_id: UUID) -> UUID:
        """Return the id that this post has in an account that imports it.

        It is derived from the account and the id in the export, so that a second import finds the post, and another
        account gets its own. It is a UUIDv7 of the time when the post was written (RFC 9562, section 5.7).
        """
        random = int.from_bytes(sha256(b"postline import" + owner_id.bytes + self.postID.bytes).digest()[:16])
        milliseconds = (self.created_at - _EPOCH) // timedelta(milliseconds=1)
        random_a, random_b = random >> 116, random & ((1 << 62) - 1)
        return UUID(int=milliseconds << 80 | 0x7 << 76 | random_a << 64 | 0b10 << 62 | random_b)
