"""A post: a text that its owner wrote."""

from datetime import datetime
from typing import ClassVar, Self
from uuid import UUID

import msgspec
from sqlalchemy import BigInteger, UniqueConstraint
from sqlmodel import Field, SQLModel
from uuid_utils.compat import uuid7

from events import types as events
from models.columns import LongText, UTCDateTime, UUIDBytes, now
from models.example import POST_ID, TIME, Example
from models.text import StorableText


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
    def write(cls, owner_id: UUID, draft: "PostCreate", timeline_version: int) -> tuple[Self, events.PostCreatedEvent]:
        """Return a new post and its event, at the version that the owner's timeline was advanced to."""
        at = now()
        post = cls(
            id=uuid7(),
            user_id=owner_id,
            text=draft.text,
            size=_size(draft.text),
            position=timeline_version,
            created_at=at,
            updated_at=at,
        )
        return post, events.PostCreatedEvent(
            user_id=owner_id, version=timeline_version, post_id=post.id, occurred_at=at
        )

    def rewrite(self, edit: "PostUpdate", timeline_version: int) -> events.PostUpdatedEvent:
        """Replace the text, and return the event of the change."""
        self.text, self.size = edit.text, _size(edit.text)
        self.version += 1
        self.updated_at = now()
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
