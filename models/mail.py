"""A mail to a user, which waits to be sent, and what the links in mails are exchanged for."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import String
from sqlmodel import Field, SQLModel
from uuid_utils.compat import uuid7

from models.columns import ExactString, UTCDateTime, UUIDBytes, now

ERROR_LENGTH = 64


class MailPurpose(StrEnum):
    """The purpose of a mail: the name of its templates and, if it has a link, of the link."""

    PASSWORD_RESET = "password-reset"  # noqa: S105 - the name of a purpose
    VERIFY_EMAIL = "verify-email"
    CONFIRM_EMAIL = "confirm-email"
    PASSWORD_CHANGED = "password-changed"  # noqa: S105
    EMAIL_CHANGE_REQUESTED = "email-change-requested"
    EMAIL_CHANGED = "email-changed"


class Mail(SQLModel, table=True):
    """A stored mail, without its text: that is composed, and the token in its link issued, when it is sent.

    Who asks for a new password is not looked up before the answer, so that mail has no `user_id`. The mail that
    confirms a new address has the versions of the password and of the address with which it was asked for.

    The next attempt is due at `due_at`, which is in the future while a process holds the lease, and empty if the mail
    was given up. A mail that was sent is deleted; one that was given up is kept for a while, without its address.
    """

    __tablename__ = "mails"  # pyright: ignore[reportAssignmentType]

    id: UUID = Field(default_factory=uuid7, primary_key=True, sa_type=UUIDBytes)
    purpose: MailPurpose = Field(sa_type=String(32))
    user_id: UUID | None = Field(
        default=None, foreign_key="users.id", ondelete="CASCADE", index=True, sa_type=UUIDBytes
    )
    address: str = Field(sa_type=ExactString)
    password_version: int | None = None
    email_version: int | None = None
    created_at: datetime = Field(default_factory=now, sa_type=UTCDateTime)
    due_at: datetime | None = Field(default_factory=now, sa_type=UTCDateTime, index=True)
    attempts: int = 0
    error: str = Field(default="", sa_type=String(ERROR_LENGTH))
    given_up_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
