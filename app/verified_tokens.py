"""Remembering tokens whose signature was verified: that costs more than the rest of a cached answer."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Generic, TypeVar

from litestar.security.jwt import Token

TokenT = TypeVar("TokenT", bound=Token)


class VerifiedTokens(Generic[TokenT]):
    """The most recently used tokens, each until it expires; so a token that is not in it has to be verified.

    Whether the token's session is still alive is not its business: that is asked for each request.
    """

    def __init__(self, most: int = 10_000, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._most = most
        self._clock = clock
        self._tokens: OrderedDict[str, TokenT] = OrderedDict()

    def get(self, encoded: str) -> TokenT | None:
        """Return the token, if it was verified and has not expired since."""
        token = self._tokens.get(encoded)
        if token is None:
            return None
        if token.exp <= self._clock():
            del self._tokens[encoded]
            return None
        self._tokens.move_to_end(encoded)
        return token

    def add(self, encoded: str, token: TokenT) -> None:
        """Remember a token that was just verified."""
        self._tokens[encoded] = token
        if len(self._tokens) > self._most:
            self._tokens.popitem(last=False)
