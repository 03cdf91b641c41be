"""Changes of a timeline: which posts changed after a version, and what they are now."""

from typing import ClassVar
from uuid import UUID

import msgspec
from sqlmodel import Field, SQLModel

from models.example import POST_ID, Example
from models.post import PostItem, PostRead


class Change(msgspec.Struct, frozen=True):
    """A change in a page: the fields of `ChangeRead`, cheap to create and encode in large numbers."""

    version: int
    postID: UUID  # noqa: N815 - this service's word for a post's id
    post: PostItem | None


class ChangeRead(SQLModel):
    """A post that changed, as it is now."""

    example: ClassVar[Example] = {"version": 17, "postID": POST_ID, "post": PostRead.example}

    version: int = Field(description="The timeline's version that the post's newest change made.")
    postID: UUID  # noqa: N815
    post: PostRead | None = Field(description="The post in its newest state, or null if it was deleted.")


class ChangesRead(SQLModel):
    """A page of changes, ordered by version."""

    example: ClassVar[Example] = {
        "version": 18,
        "changes": [ChangeRead.example, {"version": 18, "postID": POST_ID, "post": None}],
        "has_more": False,
    }

    version: int = Field(
        description="All changes up to this version are in this page or the ones before: send it as the next `since`."
    )
    changes: list[ChangeRead]
    has_more: bool = Field(description="Whether there were later changes when the page was read.")
