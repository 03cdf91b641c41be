"""Issues and verifies personal tokens."""

import hashlib
import secrets
import string
import zlib
from collections.abc import Awaitable, Callable, Collection
from uuid import UUID

from cachetools import LRUCache

from app.ports.queries import Grant
from app.ports.security import Principal
from app.ports.timelines import Timelines

PREFIX = "postline_pat_"

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SECRET_BYTES = 32
# As many digits as 256 bits, and as 32, can need.
_SECRET_LENGTH = 43
_CHECKSUM_LENGTH = 6
_LENGTH = len(PREFIX) + _SECRET_LENGTH + _CHECKSUM_LENGTH


class PersonalTokens:
    """Tells whom a personal token speaks for, and what it may do.

    What a token opens never changes, so it is read once and remembered. Whether the token is still alive is looked up
    for each request, with the timeline's version, as it is for a session.
    """

    def __init__(
        self,
        find: Callable[[bytes], Awaitable[Grant | None]],
        timelines: Timelines,
        note_use: Callable[[UUID], None],
        *,
        max_tokens: int = 10_000,
    ) -> None:
        """`find` returns the grant of a token's hash, and `note_use` gets the id of each token that is used."""
        self._find = find
        self._timelines = timelines
        self._note_use = note_use
        self._grants: LRUCache[bytes, Grant] = LRUCache(max_tokens)

    async def verify(self, token: str) -> tuple[Principal, Collection[str]] | None:
        """Return whom the token speaks for, and its scopes; `None` if it is forged, revoked or expired.

        A token that this process has not seen yet costs one statement more, unless its checksum is wrong.
        """
        token_hash = hash_of(token)
        grant = self._grants.get(token_hash)
        if grant is None:
            grant = await self._find(token_hash) if has_checksum(token) else None
            if grant is None:
                return None
            self._grants[token_hash] = grant
        version = await self._timelines.version(grant.user_id, grant.token_id)
        if version is None:
            return None
        self._note_use(grant.token_id)
        return Principal(grant.user_id, grant.token_id, version), grant.scopes


def issue() -> str:
    """Return a new token: the prefix, 256 random bits, and a checksum by which scanners tell it from other text."""
    body = PREFIX + _base62(int.from_bytes(secrets.token_bytes(_SECRET_BYTES)), _SECRET_LENGTH)
    return body + _checksum(body)


def hash_of(token: str) -> bytes:
    """Return what is stored of a token. A fast hash is enough, because the token can't be guessed."""
    return hashlib.sha256(token.encode()).digest()


def has_checksum(token: str) -> bool:
    """Return whether the text has the form of a token, with the right checksum."""
    return (
        len(token) == _LENGTH and token.isascii() and _checksum(token[:-_CHECKSUM_LENGTH]) == token[-_CHECKSUM_LENGTH:]
    )


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = list[str]()
    for _ in range(length):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
