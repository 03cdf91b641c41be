"""Issues and verifies the tokens of a session."""

import base64
import hashlib
import hmac
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from app.auth.keys import Keyring
from app.errors import Unauthenticated
from app.ports.security import AccessTokens
from models import Session, TokenPair
from models.columns import now
from models.session import USER_AGENT_LENGTH


class RefreshClaim(NamedTuple):
    """The contents of a refresh token."""

    session_id: UUID
    generation: int


class SessionTokens:
    """Issues a session's access and refresh tokens.

    A refresh token is `session.generation.signature`. The signature is derived from the other two and the secret, so
    the same token can be issued again: two concurrent exchanges of one token get the same successor, although only a
    hash of it is stored.
    """

    def __init__(self, keyring: Keyring, access_tokens: AccessTokens, session_lifetime: timedelta) -> None:
        self._keys = [hashlib.sha256(b"refresh-token:" + secret.encode()).digest() for secret in keyring.secrets]
        self._access_tokens = access_tokens
        self._session_lifetime = session_lifetime

    def open(self, user_id: UUID, user_agent: str) -> tuple[Session, TokenPair]:
        """Return a new session and its first tokens."""
        at = now()
        session = Session(
            id=uuid7(),
            user_id=user_id,
            user_agent=user_agent[:USER_AGENT_LENGTH],
            created_at=at,
            last_used_at=at,
            expires_at=at + self._session_lifetime,
            generation=0,
            refresh_token_hash="",
        )
        return session, self.renew(session, at)

    def renew(self, session: Session, at: datetime) -> TokenPair:
        """Move the session to its next generation, and return the tokens of it."""
        session.generation += 1
        session.last_used_at = at
        tokens = self.repeat(session)
        session.refresh_token_hash = self._hash(tokens.refresh_token)
        return tokens

    def repeat(self, session: Session) -> TokenPair:
        """Return tokens of the session's current generation. The refresh token is the same each time."""
        return TokenPair(
            access_token=self._access_tokens.issue(session.user_id, session.id),
            expires_in=self._access_tokens.lifetime,
            refresh_token=self._sign(self._keys[0], RefreshClaim(session.id, session.generation)),
        )

    def claim(self, refresh_token: str) -> RefreshClaim:
        """Verify the token's signature, and return its contents.

        Raises:
            Unauthenticated: It is not a refresh token, or was not signed with any of the secrets.
        """
        try:
            session, generation, _ = refresh_token.split(".")
            claim = RefreshClaim(UUID(hex=session), int(generation))
        except ValueError:
            raise Unauthenticated from None
        if not any(hmac.compare_digest(self._sign(key, claim).encode(), refresh_token.encode()) for key in self._keys):
            raise Unauthenticated
        return claim

    def is_newest(self, session: Session, refresh_token: str) -> bool:
        """Return whether this is the session's current refresh token."""
        return hmac.compare_digest(session.refresh_token_hash, self._hash(refresh_token))

    @staticmethod
    def _hash(refresh_token: str) -> str:
        # A fast hash is enough, because the token can't be guessed.
        return hashlib.sha256(refresh_token.encode()).hexdigest()

    @staticmethod
    def _sign(key: bytes, claim: RefreshClaim) -> str:
        body = f"{claim.session_id.hex}.{claim.generation}"
        signature = hmac.digest(key, body.encode(), "sha256")
        return f"{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
