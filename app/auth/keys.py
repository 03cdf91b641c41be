"""The secrets that sign tokens, and where they come from."""

import hashlib
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

import jwt

from app.errors import ConfigurationError
from app.settings import Settings

_SECRET_BYTES = 32
_WRITTEN_WITHIN_SECONDS = 2
_POLL_SECONDS = 0.02


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

    Beside a database in memory, it is kept in memory too.

    Raises:
        ConfigurationError: The data folder can't be written, or the secret in it not be used.
    """
    if settings.jwt_secret is not None:
        secret = settings.jwt_secret.get_secret_value()
    else:
        secret = secrets.token_hex(_SECRET_BYTES) if settings.is_in_memory else _stored_secret(settings)
    return Keyring(secret, tuple(previous.get_secret_value() for previous in settings.jwt_previous_secrets))


def _stored_secret(settings: Settings) -> str:
    path = settings.data_dir / "jwt_secret"
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            _create(path, secrets.token_hex(_SECRET_BYTES).encode())
    except OSError as error:
        raise ConfigurationError(f"the data folder {settings.data_dir} can't be used: {_reason(error)}") from None
    deadline = time.monotonic() + _WRITTEN_WITHIN_SECONDS
    # Of processes that start at once one creates the file, and another may read it before the secret is in it.
    while len(secret := _read(path)) < _SECRET_BYTES and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    if len(secret.strip()) < _SECRET_BYTES:
        raise ConfigurationError(
            f"the secret in {path} is empty or shorter than {_SECRET_BYTES} characters: remove the file, and a new one "
            "is generated, or set JWT_SECRET"
        )
    return secret


def _create(path: Path, secret: bytes) -> None:
    # No hard link or rename: some file systems have no links, and a rename would replace another process's secret.
    file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        os.write(file, secret)
        os.fsync(file)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(file)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise ConfigurationError(f"the secret in {path} can't be read: {_reason(error)}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"the secret in {path} is not plain ASCII: remove the file, and a new one is generated, or set JWT_SECRET"
        ) from None


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
