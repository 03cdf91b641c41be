"""A user, who owns a timeline of posts."""

import re
from datetime import datetime
from functools import cache
from typing import Annotated, ClassVar
from unicodedata import normalize
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BeforeValidator, EmailStr, ValidatorFunctionWrapHandler, WrapValidator
from pydantic import Field as PydanticField
from sqlalchemy import BigInteger, String
from sqlmodel import Field, SQLModel
from uuid_utils.compat import uuid7

from models.columns import ExactString, UTCDateTime, UUIDBytes, now
from models.example import TIME, Example
from models.limits import Limits
from models.text import StorableText

_ADDRESS_BYTES = 254
_ADDRESS_LENGTH_TO_READ = 2048
_TOO_LONG = f"must be at most {_ADDRESS_BYTES} bytes in lower case"
# A name and a domain without quotes, blanks, control characters or surrogates: enough to look an address up.
_has_the_shape = re.compile(r"""[^\s@<>"\x00-\x1f\x7f\ud800-\udfff]+@[^\s@<>"\x00-\x1f\x7f\ud800-\udfff]+""").fullmatch


def normalized(password: str) -> str:
    """Return the normal form (NFKC) of a password, which is hashed and compared.

    One keyboard sends é as one code point and another as two. To the user it is the same password.
    """
    return normalize("NFKC", password)


@cache
def _common_passwords() -> frozenset[str]:
    # 12 MiB and 40 ms, which only a new password needs.
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # noqa: PLC0415

    return frozenset(FREQUENCY_LISTS["passwords"])


def _uncommon(password: str) -> str:
    if normalized(password).lower() in _common_passwords():
        raise ValueError("This password is too common. Choose another.")
    return password


def _bare(address: object) -> object:
    # `EmailStr` would extract the address from "Ada <ada@example.com>".
    if isinstance(address, str) and "<" in address:
        raise ValueError("must be an address alone, such as ada@example.com")
    return address


def stored_form(address: str) -> str:
    """Return the form in which an address is stored: in lower case, then composed (NFC), its domain as IDNA has it.

    Lower case comes first, because a letter may have a composed form in lower case only. No rule for new addresses is
    applied: an address that is stored already may be one that would be refused today.
    """
    local, _, domain = address.strip().rpartition("@")
    return f"{normalize('NFC', local.lower())}@{_domain(domain)}"


def address_key(address: str) -> str:
    """Return what all addresses have in common that differ in nothing but case.

    Lower case alone tells some of them apart: ß from SS, and the two small forms of Σ. The key is only compared. Mail
    to it could reach someone else, because ß and ss before the @ may well be two people.
    """
    local, _, domain = stored_form(address).rpartition("@")
    return f"{normalize('NFC', normalize('NFD', local).upper().casefold())}@{domain}"


def _domain(domain: str) -> str:
    try:
        found = validate_email(f"a@{domain}", check_deliverability=False, globally_deliverable=False).domain
    except EmailNotValidError:
        return normalize("NFC", domain.lower())
    # The library does not compose every domain.
    return normalize("NFC", found.lower())


def earlier_form(address: str) -> str:
    """Return the other form in which an account that is older than `address_key` may be stored: composed first."""
    local, _, domain = address.rpartition("@")
    return f"{normalize('NFC', local.upper()).lower()}@{domain}"


def _storable(address: str) -> str:
    form = stored_form(address)
    # Lower case may take more bytes than the capitals did.
    if max(len(form.encode()), len(address_key(form).encode())) > _ADDRESS_BYTES:
        raise ValueError(_TOO_LONG)
    return form


def _known(address: object, judge: ValidatorFunctionWrapHandler) -> str:
    if isinstance(address, str) and len(address) <= _ADDRESS_LENGTH_TO_READ and _has_the_shape(address.strip()):
        form = stored_form(address)
    else:
        form = stored_form(judge(_bare(address)))
    if len(form) > _ADDRESS_BYTES:
        raise ValueError(_TOO_LONG)
    return form


Email = Annotated[EmailStr, BeforeValidator(_bare), AfterValidator(_storable)]
"""A new address, in the form in which it is stored."""

KnownEmail = Annotated[EmailStr, WrapValidator(_known)]
"""An address to look up: anything that has the shape of one, in the form in which it is stored."""

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
        max_length=_ADDRESS_BYTES,
        unique=True,
        sa_type=ExactString,
        description="An email address, compared without regard to case.",
    )


class User(UserBase, table=True):
    """A stored user.

    `timeline_version` is 0 at sign-up, and is incremented for every change of a post, in the change's own transaction.
    `undelivered_since` is set by the same statement, and cleared when every durable listener has taken the newest
    event. `password_version` counts passwords, not hashes: a password may be hashed again. `email_key` is the address's
    `address_key`. It is empty for an account that was older than the column and had the same key as another.
    `email_version` counts addresses, and `email_verified_at` is set if the user has proved that they read the current
    one. A user with a `disabled_at` was disabled by an operator: they have no sessions and can't open one.

    `post_count` and `post_bytes` are how many posts the user has, and how large the texts are together. They are true
    while `counted_version` equals `timeline_version`: a process of a version before these columns advances the timeline
    and does not count. `max_posts`, `max_bytes` and `max_webhooks` are the bounds that an operator has set for this
    user, if any (`app.quotas`).
    """

    __tablename__ = "users"  # pyright: ignore[reportAssignmentType]

    id: UUID = Field(default_factory=uuid7, primary_key=True, sa_type=UUIDBytes)
    email_key: str | None = Field(default=None, unique=True, index=True, sa_type=ExactString)
    password_hash: str = Field(sa_type=String(255))
    password_version: int = 1
    created_at: datetime = Field(default_factory=now, sa_type=UTCDateTime)
    timeline_version: int = Field(default=0, sa_type=BigInteger)
    undelivered_since: datetime | None = Field(default=None, sa_type=UTCDateTime, index=True)
    disabled_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    email_version: int = 1
    email_verified_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    post_count: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    post_bytes: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    counted_version: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    max_posts: int | None = Field(default=None, sa_type=BigInteger)
    max_bytes: int | None = Field(default=None, sa_type=BigInteger)
    max_webhooks: int | None = Field(default=None, sa_type=BigInteger)


class SignUp(UserBase):
    """The body that creates an account."""

    model_config = {"extra": "forbid"}
    example: ClassVar[Example] = {"email": "ada@example.com", "password": "correct horse battery"}

    password: NewPassword
    invite: StorableText | None = Field(
        default=None,
        max_length=128,
        description="The code of an invitation, where the service takes new accounts by invitation only.",
    )


class LogIn(UserBase):
    """The body that opens a session."""

    model_config = {"extra": "forbid"}
    example: ClassVar[Example] = {"email": "ada@example.com", "password": "correct horse battery"}

    email: KnownEmail = Field(
        max_length=_ADDRESS_BYTES,
        description="An email address, compared without regard to case.",
    )
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
        "email_verified_at": TIME,
        "post_count": 1,
        "limits": Limits.example,
    }

    user_id: UUID
    created_at: datetime
    email_verified_at: datetime | None = Field(
        default=None, description="When the user proved that they read mail at the address, if they have."
    )
    post_count: int = Field(ge=0)
    limits: Limits | None = Field(default=None, description="How much the user may keep and hold, and does.")
