"""A user, who owns a timeline of posts."""

import unicodedata
from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, EmailStr
from pydantic import Field as PydanticField
from sqlalchemy import BigInteger, String
from sqlmodel import Field, SQLModel
from uuid_utils.compat import uuid7
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from models.columns import ExactString, UTCDateTime, UUIDBytes, now
from models.example import TIME, Example
from models.text import StorableText

_COMMON_PASSWORDS = frozenset(FREQUENCY_LISTS["passwords"])


def normalized(password: str) -> str:
    """Return the normal form (NFKC) of a password, which is hashed and compared.

    One keyboard sends é as one code point and another as two. To the user it is the same password.
    """
    return unicodedata.normalize("NFKC", password)


def _uncommon(password: str) -> str:
    if normalized(password).lower() in _COMMON_PASSWORDS:
        raise ValueError("This password is too common. Choose another.")
    return password


def _bare(address: object) -> object:
    # `EmailStr` would extract the address from "Ada <ada@example.com>".
    if isinstance(address, str) and "<" in address:
        raise ValueError("must be an address alone, such as ada@example.com")
    return address


Email = Annotated[EmailStr, BeforeValidator(_bare), AfterValidator(str.lower)]
"""An address, in lower case: addresses are compared without regard to case."""

NewPassword = Annotated[
    StorableText,
    PydanticField(
        min_length=8,
        max_length=128,
        description="8 to 128 characters, without further rules; the most common passwords are refused.",
    ),
    AfterValidator(_uncommon),
]
"""A new password: checked for length, and against the most common ones."""


class UserBase(SQLModel):
    """What identifies a user."""

    email: Email = Field(
        max_length=254,
        unique=True,
        sa_type=ExactString,
        description="An email address, compared without regard to case.",
    )


class User(UserBase, table=True):
    """A stored user.

    `timeline_version` is 0 at sign-up, and is incremented for every change of a post, in the change's own transaction.
    `undelivered_since` is set by the same statement, and cleared when every durable listener has taken the newest
    event. `password_version` counts passwords, not hashes: a password may be hashed again.
    """

    __tablename__ = "users"  # pyright: ignore[reportAssignmentType]

    id: UUID = Field(default_factory=uuid7, primary_key=True, sa_type=UUIDBytes)
    password_hash: str = Field(sa_type=String(255))
    password_version: int = 1
    created_at: datetime = Field(default_factory=now, sa_type=UTCDateTime)
    timeline_version: int = Field(default=0, sa_type=BigInteger)
    undelivered_since: datetime | None = Field(default=None, sa_type=UTCDateTime, index=True)


class SignUp(UserBase):
    """The body that creates an account."""

    model_config = {"extra": "forbid"}
    example: ClassVar[Example] = {"email": "ada@example.com", "password": "correct horse battery"}

    password: NewPassword


class LogIn(UserBase):
    """The body that opens a session."""

    model_config = {"extra": "forbid"}
    example: ClassVar[Example] = {"email": "ada@example.com", "password": "correct horse battery"}

    password: StorableText = Field(
        min_length=1,
        max_length=128,
    )


class PasswordChange(SQLModel):
    """The body that replaces a password."""

    model_config = {"extra": "forbid"}
    example: ClassVar[Example] = {
        "current_password": "correct horse battery",
        "new_password": "another horse battery",
    }

    current_password: StorableText = Field(min_length=1, max_length=128)
    new_password: NewPassword


class PasswordConfirmation(SQLModel):
    """The body that confirms what can't be undone."""

    model_config = {"extra": "forbid"}
    example: ClassVar[Example] = {"password": "correct horse battery"}

    password: StorableText = Field(min_length=1, max_length=128)


class UserRead(UserBase):
    """A user's own account."""

    example: ClassVar[Example] = {
        "user_id": "01a20544-8e83-7706-bb25-d8126e32ef52",
        "email": "ada@example.com",
        "created_at": TIME,
        "post_count": 1,
    }

    user_id: UUID
    created_at: datetime
    post_count: int = Field(ge=0)
