"""A cache of tokens whose signature was verified: to verify one costs more than the rest of a cached answer."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Generic, TypeVar

from cachetools import LRUCache
from litestar.security.jwt import Token

TokenT = TypeVar("TokenT", bound=Token)


class VerifiedTokens(Generic[TokenT]):
    """The most recently used tokens, each until it expires.

    It says nothing of the token's session: whether that is alive is looked up for each request.
    """

    def __init__(self, max_tokens: int = 10_000, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._tokens: LRUCache[str, TokenT] = LRUCache(max_tokens)

    def get(self, encoded: str) -> TokenT | None:
        """Return the token, if it was verified and has not expired since."""
        try:
            token = self._tokens[encoded]
        except KeyError:
            return None
        if token.exp <= self._clock():
            del self._tokens[encoded]
            return None
        return token

    def add(self, encoded: str, token: TokenT) -> None:
        """Keep a token that was just verified."""
        self._tokens[encoded] = token
