"""What keeps people's accounts theirs, and the service from being used against others."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID


class FailureLimit(Protocol):
    """Makes those wait who failed too often."""

    def attempt(self, key: str) -> AbstractAsyncContextManager[None]:
        """Enclose one attempt: it raises `TooManyRequests` when the key failed too often of late.

        An attempt that raises `InvalidCredentials` or `WrongPassword` counts as failed. The attempts of one key are
        made one after the other, so that no number of them at once gets past the limit.
        """
        ...


class Destinations(Protocol):
    """Knows which addresses may be called."""

    async def check(self, url: str) -> None:
        """Raise `InvalidRequest` when the address may not be called, or can't be."""


class Passwords(Protocol):
    """Slow hashing that never holds up the event loop. Each method raises `Overloaded` when too many wait."""

    async def hash(self, password: str) -> str:
        """Return a salted hash of the password."""
        ...

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Return whether the hash is of this password; takes as long for `None`, which is of none."""
        ...

    def is_outdated(self, password_hash: str) -> bool:
        """Return whether the hash was made with other parameters than today's."""
        ...


class AccessTokens(Protocol):
    """Draws access tokens."""

    @property
    def lifetime(self) -> int:
        """How long a token is good for, in seconds."""
        ...

    def draw(self, user_id: UUID, session_id: UUID) -> str:
        """Return a signed token that opens the user's routes while the session is alive."""
        ...
