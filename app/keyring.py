"""The secrets that tokens are signed with."""

import hashlib

import jwt


class Keyring:
    """The secret that signs, and those before it that are still taken.

    To replace the secret without logging anyone out, move it to the previous ones and put a new one in its place; it
    can be dropped when the longest-lived token signed with it has expired.
    """

    def __init__(self, current: str, previous: tuple[str, ...] = ()) -> None:
        self.current = current
        self.secrets = (current, *previous)
        self._by_id = {key_id(secret): secret for secret in reversed(self.secrets)}

    def secret_of(self, token: str) -> str:
        """Return the secret that a JWT's header names in `kid` (RFC 7515, section 4.1.4).

        Raises:
            jwt.InvalidTokenError: It is no JWT, or names no secret of this ring.
        """
        try:
            return self._by_id[jwt.get_unverified_header(token)["kid"]]
        except (KeyError, TypeError):
            raise jwt.InvalidTokenError("no such key") from None


def key_id(secret: str) -> str:
    """Return a name for the secret, from which it can't be told."""
    return hashlib.sha256(b"key-id:" + secret.encode()).hexdigest()[:16]
