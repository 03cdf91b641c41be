"""A session: one log-in of a user, for which access tokens are issued until it ends."""

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from sqlalchemy import JSON, String
from sqlmodel import Field, SQLModel
from uuid_utils.compat import uuid7

from models.columns import Digest, UnicodeString, UTCDateTime, UUIDBytes, now
from models.example import TIME, Example

USER_AGENT_LENGTH = 255

REFRESH_TOKEN = "01a205448e89740bba0e523ec97aa0ff.1.sJxNu0nr35EIcIeS5tVSa7S1GhH7v-5BQaj9gR8"  # noqa: S105 - an example


class SessionBase(SQLModel):
    """The fields by which users recognise a session."""

    user_agent: str = Field(default="", max_length=USER_AGENT_LENGTH, sa_type=String(USER_AGENT_LENGTH))
    created_at: datetime = Field(default_factory=now, sa_type=UTCDateTime)
    last_used_at: datetime = Field(
        default_factory=now, sa_type=UTCDateTime, description="When its tokens were last refreshed."
    )
    expires_at: datetime = Field(sa_type=UTCDateTime, index=True)


class Session(SessionBase, table=True):
    """A stored session. When a session ends, its row is deleted.

    Its refresh tokens are numbered by `generation`; only a hash of the newest is kept.

    A personal token is a session too, so that whatever ends sessions ends it: one with a `token_hash`, the SHA-256 of
    the token, and with a name and scopes, but without refresh tokens. Until it is used, its `last_used_at` is its
    `created_at`.
    """

    __tablename__ = "sessions"  # pyright: ignore[reportAssignmentType]

    id: UUID = Field(default_factory=uuid7, primary_key=True, sa_type=UUIDBytes)
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE", index=True, sa_type=UUIDBytes)
    generation: int = 1
    refresh_token_hash: str = Field(sa_type=String(64))
    token_hash: bytes | None = Field(default=None, sa_type=Digest, unique=True, index=True)
    name: str | None = Field(default=None, sa_type=UnicodeString)
    scopes: list[str] | None = Field(default=None, sa_type=JSON(none_as_null=True))

    def is_of(self, user_agent: str) -> bool:
        """Return whether the session was opened by a client with this `User-Agent`."""
        return self.user_agent == user_agent[:USER_AGENT_LENGTH]


class SessionRead(SessionBase):
    """A session as its user sees it."""

    example: ClassVar[Example] = {
        "id": "01a20544-8e89-740b-ba0e-523ec97aa0ff",
        "user_agent": "Mozilla/5.0",
        "created_at": TIME,
        "last_used_at": TIME,
        "expires_at": "2026-02-01T03:04:05.678901Z",
        "is_current": True,
    }

    id: UUID
    is_current: bool = Field(default=False, description="Whether it is the session of this request.")


class RefreshRequest(SQLModel):
    """The body that exchanges a refresh token."""

    model_config = {"extra": "forbid"}
    example: ClassVar[Example] = {"refresh_token": REFRESH_TOKEN}

    refresh_token: str = Field(min_length=1, max_length=512)


class TokenPair(SQLModel):
    """An access token, and the refresh token that replaces it."""

    example: ClassVar[Example] = {
        "access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.yJOCZ3eB6U3GXnNOMSx",
        "token_type": "bearer",
        "expires_in": 900,
        "refresh_token": REFRESH_TOKEN,
    }

    access_token: str = Field(description="A JWT for `Authorization: Bearer …`.")
    token_type: Literal["bearer"] = "bearer"  # noqa: S105
    expires_in: int = Field(description="The access token's lifetime, in seconds.")
    refresh_token: str = Field(description="Good for one exchange at `POST /auth/refresh`.")
