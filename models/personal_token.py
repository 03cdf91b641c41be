"""A personal token: what a script sends instead of a log-in. Its row stands among the sessions."""

import re
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator
from sqlmodel import Field, SQLModel

from models.columns import now
from models.example import TIME, Example
from models.text import StorableText

NAME_LENGTH = 100

NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""When a token expires that does not: every session has a time, so that one comparison tells whether it is alive."""

Scope = Literal["posts:read", "posts:write", "webhooks"]

_RFC_3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})",
    re.ASCII,
)


def _rfc_3339(value: object) -> object:
    # Pydantic also takes dates, seconds since 1970, and times of no zone.
    if isinstance(value, str) and not _RFC_3339.fullmatch(value):
        raise ValueError("must be a time as in RFC 3339, such as 2027-01-02T03:04:05Z")
    if value is not None and not isinstance(value, str | datetime):
        raise ValueError("must be a string")
    return value


def _still_to_come(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if value <= now():
        raise ValueError("must be in the future")
    if value >= NEVER:
        raise ValueError("must be before the end of the year 9999; leave it out for a token that does not expire")
    return value.astimezone(UTC)


def _distinct(values: list[Scope]) -> list[Scope]:
    return sorted(set(values))


class PersonalTokenBase(SQLModel):
    """What the user says of a token: what it is for, and what it may do."""

    name: StorableText = Field(min_length=1, max_length=NAME_LENGTH, description="What the token is for.")
    scopes: Annotated[list[Scope], AfterValidator(_distinct)] = Field(
        min_length=1,
        description=(
            "`posts:read` reads posts and follows their changes, `posts:write` adds, edits and deletes posts, and "
            "`webhooks` does everything with webhooks."
        ),
    )


class PersonalTokenCreate(PersonalTokenBase):
    """The body that creates a token."""

    model_config = {"extra": "forbid"}
    example: ClassVar[Example] = {
        "name": "Nightly backup",
        "scopes": ["posts:read"],
        "expires_at": "2046-01-02T03:04:05Z",
    }

    expires_at: Annotated[datetime | None, BeforeValidator(_rfc_3339), AfterValidator(_still_to_come)] = Field(
        default=None, description="When the token stops working; without it, not before it is revoked."
    )


class PersonalTokenRead(PersonalTokenBase):
    """A token as its user sees it afterwards, without its secret."""

    example: ClassVar[Example] = {
        "id": "01a20544-8e89-740b-ba0e-523ec97aa0ff",
        "name": "Nightly backup",
        "scopes": ["posts:read"],
        "created_at": TIME,
        "last_used_at": TIME,
        "expires_at": "2046-01-02T03:04:05Z",
    }

    id: UUID
    created_at: datetime
    last_used_at: datetime | None = Field(default=None, description="When it was used last, to within a minute.")
    expires_at: datetime | None = Field(default=None, description="When it stops working, if it does by itself.")


class PersonalTokenCreated(PersonalTokenRead):
    """A token as the answer to its creation shows it: with its secret, which is not stored."""

    example: ClassVar[Example] = PersonalTokenRead.example | {
        "last_used_at": None,
        "token": "postline_pat_3hV9ZrT0bYkQm5sWx2LcDf8GjNp1RuAe7KiOo4HtXyM1Hkwm9",
    }

    token: str = Field(description="For `Authorization: Bearer …`. It is shown only here.")
