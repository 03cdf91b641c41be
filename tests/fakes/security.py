"""Passwords that are quick to hash, limits that are easy to reach, addresses that need no name server."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from typing_extensions import override

from app.errors import InvalidCredentials, InvalidRequest, TooManyRequests, WrongPassword
from app.ports.security import AccessTokens, Destinations, FailureLimit, Passwords


class PlainPasswords(Passwords):
    """Hashes that name their password and scheme. `verified` holds what was verified, with the hash."""

    def __init__(self, scheme: str = "plain") -> None:
        self.scheme = scheme
        self.verified: list[tuple[str, str | None]] = []

    @override
    async def hash(self, password: str) -> str:
        return f"{self.scheme}:{password}"

    @override
    async def verify(self, password: str, password_hash: str | None) -> bool:
        self.verified.append((password, password_hash))
        return password_hash is not None and password_hash.partition(":")[2] == password

    @override
    def is_outdated(self, password_hash: str) -> bool:
        return password_hash.partition(":")[0] != self.scheme


class CountingLimit(FailureLimit):
    """Lets each key fail a number of times, for good."""

    def __init__(self, max_failures: int = 5) -> None:
        self.failures = Counter[str]()
        self._max_failures = max_failures

    @override
    @asynccontextmanager
    async def attempt(self, key: str) -> AsyncIterator[None]:
        if self.failures[key] >= self._max_failures:
            raise TooManyRequests("Try again later.")
        try:
            yield
        except (InvalidCredentials, WrongPassword):
            self.failures[key] += 1
            raise


class ListedDestinations(Destinations):
    """Refuses the addresses in `forbidden`."""

    def __init__(self, *forbidden: str) -> None:
        self._forbidden = forbidden

    @override
    async def check(self, url: str) -> None:
        if url in self._forbidden:
            raise InvalidRequest("The address can't be used.")


class NamedTokens(AccessTokens):
    """Access tokens that name their user and session."""

    @property
    @override
    def lifetime(self) -> int:
        return 900

    @override
    def issue(self, user_id: UUID, session_id: UUID) -> str:
        return f"access of {user_id} in {session_id}"
