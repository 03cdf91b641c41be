"""What one user may keep and hold, as they see it."""

from typing import ClassVar

from sqlmodel import Field, SQLModel

from models.example import Example


class Quota(SQLModel):
    """How much is used, and how much may be."""

    used: int = Field(ge=0)
    limit: int | None = Field(default=None, ge=0, description="The bound; without one, there is none.")


class Limits(SQLModel):
    """A user's quotas, and their shares of what the process that answers holds at the moment."""

    example: ClassVar[Example] = {
        "posts": {"used": 1, "limit": 10000},
        "bytes": {"used": 20, "limit": None},
        "webhooks": {"used": 0, "limit": 10},
        "feeds": {"used": 1, "limit": 20},
        "unread_bytes": {"used": 0, "limit": 33554432},
        "writes": "600/minute",
    }

    posts: Quota
    bytes: Quota = Field(description="UTF-8 bytes of the texts of all posts.")
    webhooks: Quota
    feeds: Quota | None = Field(default=None, description="Feeds that are open, in the process that answers.")
    unread_bytes: Quota | None = Field(
        default=None,
        description="What the user's clients have not taken yet of large answers, in the process that answers.",
    )
    writes: str | None = Field(
        default=None, description="How often the user may change posts and webhooks, such as `600/minute`."
    )
