"""Passwords that are quick to hash, limits that are easy to reach, addresses that need no name server."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from uuid import UUID

from typing_extensions import override

from app.errors import InvalidCredentials, InvalidRequest, TooManyRequests, WrongPassword
from app.ports.security import AccessTokens, Destinations, FailureLimit, KnownClients, Passwords, UseLimit


class PlainPasswords(Passwords):
    """Hashes that name their password and scheme. `hashed` and `verified` hold what was, the latter with the hash."""

    def __init__(self, scheme: str = "plain") -> None:
        self.scheme = scheme
        self.hashed: list[str] = []
        self.verified: list[tuple[str, str | None]] = []

    @override
    async def hash(self, password: str, by: Hashable) -> str:
        self.hashed.append(password)
        return f"{self.scheme}:{password}"

    @override
    async def verify(self, password: str, password_hash: str | None, by: Hashable) -> bool:
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

    @override
    async def forget(self, key: str) -> None:
        del self.failures[key]


class CountingUses(UseLimit):
    """Lets each key be used a number of times, for good."""

    def __init__(self, max_uses: int = 5) -> None:
        self.uses = Counter[str]()
        self._max_uses = max_uses

    @override
    async def hit(self, key: str) -> None:
        self.uses[key] += 1
        if self.uses[key] > self._max_uses:
            raise TooManyRequests("Try again later.")


class ListedClients(KnownClients):
    """Remembers in a set."""

    def __init__(self) -> None:
        self._known: set[tuple[UUID, str]] = set()

    @override
    async def remember(self, user_id: UUID, client: str) -> None:
        self._known.add((user_id, client))

    @override
    async def knows(self, user_id: UUID, client: str) -> bool:
        return (user_id, client) in self._known


class ListedDestinations(Destinations):
    """Refuses the addresses in `forbidden`. Nothing is found while `may_be_found` is not set."""

    def __init__(self, *forbidden: str) -> None:
        self._forbidden = forbidden
        self.may_be_found = asyncio.Event()
        self.may_be_found.set()

    @override
    async def check(self, url: str) -> None:
        await self.may_be_found.wait()
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
