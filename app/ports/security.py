"""What keeps accounts safe, and the service from being used against others."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(slots=True)
class Principal:
    """The user and the session that a request is authenticated as.

    `timeline_version` is the version that the request answers from: the one looked up when the request came in, or the
    newer one that it then read.
    """

    user_id: UUID
    session_id: UUID
    timeline_version: int


class FailureLimit(Protocol):
    """A rate limit on failed attempts."""

    def attempt(self, key: str) -> AbstractAsyncContextManager[None]:
        """Enclose one attempt: entering raises `TooManyRequests` if the key failed too often recently.

        An attempt that raises `InvalidCredentials` or `WrongPassword` counts as failed. The attempts of one key run one
        after the other, so concurrent ones can't exceed the limit.
        """
        ...


class Destinations(Protocol):
    """Decides which addresses webhooks may call."""

    async def check(self, url: str) -> None:
        """Raise `InvalidRequest` if the address may not be called, or has no host that can be found."""


class Passwords(Protocol):
    """Slow password hashing that never blocks the event loop. Each method raises `Overloaded` if too many wait."""

    async def hash(self, password: str) -> str:
        """Return a salted hash of the password."""
        ...

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Return whether the hash is of this password. For `None`, return false after the same time."""
        ...

    def is_outdated(self, password_hash: str) -> bool:
        """Return whether the hash was made with other parameters than the current ones."""
        ...


class AccessTokens(Protocol):
    """Issues access tokens."""

    @property
    def lifetime(self) -> int:
        """How long a token is valid, in seconds."""
        ...

    def issue(self, user_id: UUID, session_id: UUID) -> str:
        """Return a signed token that authenticates the user while the session is alive."""
        ...
