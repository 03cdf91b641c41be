"""What keeps accounts safe, and the service from being used against others."""

from collections.abc import Hashable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

UNKNOWN_CLIENT = "unknown"
"""The client of a request whose address is not known."""


@dataclass(slots=True)
class Principal:
    """The user and the session that a request is authenticated as. A personal token is a session, too.

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

    async def forget(self, key: str) -> None:
        """Forget the key's failures."""


class UseLimit(Protocol):
    """A rate limit on uses, successful or not."""

    async def hit(self, key: str) -> None:
        """Count one use; raise `TooManyRequests` if it exceeds the limit."""


class KnownClients(Protocol):
    """Remembers from which client addresses each user has logged in."""

    async def remember(self, user_id: UUID, client: str) -> None:
        """Remember that the user logged in from there."""

    async def knows(self, user_id: UUID, client: str) -> bool:
        """Return whether the user has logged in from there."""
        ...


class Destinations(Protocol):
    """Decides which addresses webhooks may call."""

    async def check(self, url: str) -> None:
        """Raise `InvalidRequest` if the address may not be called, or has no host that can be found."""


class Passwords(Protocol):
    """Slow password hashing that never blocks the event loop.

    `by` is the user, or before log-in the client's address, in whose share of the queue the password waits. To hash
    and to verify raises `TooManyRequests` if too many of that share wait, and `Overloaded` if too many of all do.
    """

    async def hash(self, password: str, by: Hashable) -> str:
        """Return a salted hash of the password."""
        ...

    async def verify(self, password: str, password_hash: str | None, by: Hashable) -> bool:
        """Return whether the hash is of this password. For `None`, return false after the same work."""
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
