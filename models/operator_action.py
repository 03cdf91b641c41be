"""What operators did to users and invitations: the audit trail."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import String
from sqlmodel import Field, SQLModel
from uuid_utils.compat import uuid7

from models.columns import UnicodeString, UTCDateTime, UUIDBytes, now

OPERATOR_LENGTH = 255


class Action(StrEnum):
    """What an operator can do to a user or an invitation."""

    CREATED = "created"
    DISABLED = "disabled"
    ENABLED = "enabled"
    SESSIONS_ENDED = "sessions ended"
    PASSWORD_SET = "password set"  # noqa: S105 - the name of an action
    RESET_LINK_MADE = "reset link made"
    LIMITS_SET = "limits set"
    POSTS_EXPORTED = "posts exported"
    POSTS_IMPORTED = "posts imported"
    DELETED = "deleted"
    INVITATION_CREATED = "invitation created"
    INVITATION_REVOKED = "invitation revoked"


class OperatorAction(SQLModel, table=True):
    """One thing that an operator did to a user or to an invitation. It outlives them, and keeps their id alone."""

    __tablename__ = "operator_actions"  # pyright: ignore[reportAssignmentType]

    id: UUID = Field(default_factory=uuid7, primary_key=True, sa_type=UUIDBytes)
    user_id: UUID | None = Field(default=None, index=True, sa_type=UUIDBytes)
    invitation_id: UUID | None = Field(default=None, index=True, sa_type=UUIDBytes)
    action: Action = Field(sa_type=String(32))
    operator: str = Field(max_length=OPERATOR_LENGTH, sa_type=UnicodeString)
    at: datetime = Field(default_factory=now, sa_type=UTCDateTime)
