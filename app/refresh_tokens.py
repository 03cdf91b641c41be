"""Refresh tokens: what they look like, and how one is told from a forgery."""

import base64
import hashlib
import hmac
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from app.errors import Unauthenticated
from models import Session
from models.columns import now


class RefreshClaim(NamedTuple):
    """What a refresh token says of itself, before it is known to be genuine."""

    session_id: UUID
    generation: int


class RefreshTokens:
    """Draws refresh tokens of the form `session.generation.signature`.

    The signature is derived from the session, the generation and the secret, so a token can be drawn again: that is
    how two concurrent exchanges of one token get the same successor although only a hash of it is stored.
    """

    def __init__(self, secret: str, session_lifetime: timedelta) -> None:
        self._key = hashlib.sha256(b"refresh-token:" + secret.encode()).digest()
        self._session_lifetime = session_lifetime

    def open_session(self, user_id: UUID, user_agent: str) -> tuple[Session, str]:
        """Return a new session and its first refresh token."""
        at = now()
        session_id = uuid7()
        token = self.draw(session_id, 1)
        session = Session(
            id=session_id,
            user_id=user_id,
            user_agent=user_agent[:255],
            created_at=at,
            last_used_at=at,
            refreshed_at=at,
            expires_at=at + self._session_lifetime,
            refresh_token_hash=self.hash(token),
        )
        return session, token

    def draw(self, session_id: UUID, generation: int) -> str:
        """Return the session's refresh token of that generation."""
        return self._sign(RefreshClaim(session_id, generation))

    def parse(self, token: str) -> RefreshClaim:
        """Return what the token says of itself.

        Raises:
            Unauthenticated: It is no refresh token at all.
        """
        try:
            session, generation, _ = token.split(".")
            return RefreshClaim(UUID(hex=session), int(generation))
        except ValueError:
            raise Unauthenticated from None

    def is_genuine(self, token: str) -> bool:
        """Return whether the token was drawn with this secret."""
        return hmac.compare_digest(self._sign(self.parse(token)).encode(), token.encode())

    @staticmethod
    def hash(token: str) -> str:
        """Return what is stored of a token: a fast hash serves, for there is nothing in it to guess."""
        return hashlib.sha256(token.encode()).hexdigest()

    def _sign(self, claim: RefreshClaim) -> str:
        body = f"{claim.session_id.hex}.{claim.generation}"
        signature = hmac.digest(self._key, body.encode(), "sha256")
        return f"{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
