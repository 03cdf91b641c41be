"""The bodies with which people recover an account, and change its address."""

from typing import ClassVar

from sqlmodel import Field, SQLModel

from models.example import Example
from models.text import StorableText
from models.user import Email, KnownEmail, NewPassword

_TOKEN_LENGTH = 2048

_TOKEN = "WyJwYXNzd29yZC1yZXNldCIsIjAxYTIwNTQ0Il0.8f14e45fceea167a5a36dedd4bea2543"  # noqa: S105 - an example


class PasswordResetRequest(SQLModel):
    """The body that asks for a new password."""

    model_config = {"extra": "forbid"}
    example: ClassVar[Example] = {"email": "ada@example.com"}

    email: KnownEmail = Field(description="The account's address, compared without regard to case.")


class PasswordReset(SQLModel):
    """The body that sets a new password with a mailed token."""

    model_config = {"extra": "forbid"}
    example: ClassVar[Example] = {"token": _TOKEN, "new_password": "another horse battery"}

    token: str = Field(min_length=1, max_length=_TOKEN_LENGTH)
    new_password: NewPassword


class EmailChange(SQLModel):
    """The body that asks for another address."""

    model_config = {"extra": "forbid"}
    example: ClassVar[Example] = {"email": "lovelace@example.com", "password": "correct horse battery"}

    email: Email = Field(max_length=254, description="The new address.")
    password: StorableText = Field(min_length=1, max_length=128)


class EmailConfirmation(SQLModel):
    """The body that confirms an address with a mailed token."""

    model_config = {"extra": "forbid"}
    example: ClassVar[Example] = {"token": _TOKEN}

    token: str = Field(min_length=1, max_length=_TOKEN_LENGTH)
