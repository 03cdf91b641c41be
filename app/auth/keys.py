"""The secrets that sign tokens, and where they come from."""

import hashlib
import os
import secrets

import jwt

from app.errors import ConfigurationError
from app.settings import Settings

_SECRET_BYTES = 32


class Keyring:
    """The current secret, which signs, and previous ones, which still verify.

    To rotate the secret without logging anyone out, move it to the previous ones and put a new one in its place. Drop
    it when the longest-lived token that it signed has expired.
    """

    def __init__(self, current: str, previous: tuple[str, ...] = ()) -> None:
        self.current = current
        self.secrets = (current, *previous)
        self._by_id = {key_id(secret): secret for secret in reversed(self.secrets)}

    def secret_of(self, token: str) -> str:
        """Return the secret that a JWT's header names in `kid` (RFC 7515, section 4.1.4).

        Raises:
            jwt.InvalidTokenError: The token is not a JWT, or names a secret that is not in this keyring.
        """
        try:
            return self._by_id[jwt.get_unverified_header(token)["kid"]]
        except (KeyError, TypeError):
            raise jwt.InvalidTokenError("no such key") from None


def key_id(secret: str) -> str:
    """Return a secret's public name, which does not give it away."""
    return hashlib.sha256(b"key-id:" + secret.encode()).hexdigest()[:16]


def load_keyring(settings: Settings) -> Keyring:
    """Return the keyring: `JWT_SECRET` signs, or else a secret that is generated once and kept in the data folder.

    Raises:
        ConfigurationError: The data folder can't be written.
    """
    secret = _stored_secret(settings) if settings.jwt_secret is None else settings.jwt_secret.get_secret_value()
    return Keyring(secret, tuple(previous.get_secret_value() for previous in settings.jwt_previous_secrets))


def _stored_secret(settings: Settings) -> str:
    path = settings.data_dir / "jwt_secret"
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f"jwt_secret.{os.getpid()}")
        if not path.exists():
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_hex(_SECRET_BYTES), encoding="ascii")
            try:
                # A link appears with its whole content or not at all, so processes that start at once read one secret.
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise ConfigurationError(f"the data folder {settings.data_dir} can't be used: {error.strerror}") from None
