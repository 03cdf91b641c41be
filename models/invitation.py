"""An invitation: a code with which one person may sign up, once."""

import base64
import hashlib
import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self
from uuid import UUID

from sqlalchemy import String
from sqlmodel import Field, SQLModel
from uuid_utils.compat import uuid7

from models.columns import ExactString, UTCDateTime, UUIDBytes, now
from models.user import address_key

# 160 bits, which Base32 turns into 32 letters and digits without padding.
_CODE_BYTES = 20


class SignUpPolicy(StrEnum):
    """Who may sign up: anybody, who has an invitation, or nobody. Operators create users whatever it is."""

    OPEN = "open"
    INVITE = "invite"
    CLOSED = "closed"


class InvitationState(StrEnum):
    """Whether an invitation still admits somebody, and if not, why."""

    OPEN = "open"
    USED = "used"
    REVOKED = "revoked"
    EXPIRED = "expired"


class Invitation(SQLModel, table=True):
    """A stored invitation, without its code, of which only a hash is kept.

    One with an `email` is for that address alone. It goes with the user who signed up with it.
    """

    __tablename__ = "invitations"  # pyright: ignore[reportAssignmentType]

    id: UUID = Field(default_factory=uuid7, primary_key=True, sa_type=UUIDBytes)
    code_hash: str = Field(unique=True, index=True, sa_type=String(64))
    email: str | None = Field(default=None, sa_type=ExactString)
    created_at: datetime = Field(default_factory=now, sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime, index=True)
    revoked_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    used_by: UUID | None = Field(
        default=None, foreign_key="users.id", ondelete="CASCADE", index=True, sa_type=UUIDBytes
    )

    @classmethod
    def issue(cls, email: str | None, lifetime: timedelta) -> tuple[Self, str]:
        """Return a new invitation and its code, which can't be read from it."""
        # Letters and digits that are not taken for one another, so that a code can be read out and typed.
        code = base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode().lower()
        at = now()
        return cls(code_hash=hash_code(code), email=email, created_at=at, expires_at=at + lifetime), code

    def state(self, at: datetime) -> InvitationState:
        """Return what has become of it by that time."""
        if self.used_at is not None:
            return InvitationState.USED
        if self.revoked_at is not None:
            return InvitationState.REVOKED
        return InvitationState.OPEN if at < self.expires_at else InvitationState.EXPIRED

    def admits(self, email: str, at: datetime) -> bool:
        """Return whether somebody may sign up with it, under this address and at that time."""
        is_for_them = self.email is None or address_key(self.email) == address_key(email)
        return is_for_them and self.state(at) is InvitationState.OPEN


def hash_code(code: str) -> str:
    """Return the hash under which an invitation is stored, for its code as somebody may type it."""
    # A fast hash is enough, because the code can't be guessed.
    return hashlib.sha256(code.strip().lower().encode()).hexdigest()
