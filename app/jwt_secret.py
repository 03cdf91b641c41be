"""Where the secrets come from that tokens are signed with."""

import os
import secrets

from app.keyring import Keyring
from app.settings import ConfigurationError, Settings

_SECRET_BYTES = 32


def resolve_keyring(settings: Settings) -> Keyring:
    """Return the secrets, of which `JWT_SECRET` signs, or else one that is generated once and kept with the data.

    Raises:
        ConfigurationError: The data folder can't be written.
    """
    secret = _kept_secret(settings) if settings.jwt_secret is None else settings.jwt_secret.get_secret_value()
    return Keyring(secret, tuple(previous.get_secret_value() for previous in settings.jwt_previous_secrets))


def _kept_secret(settings: Settings) -> str:
    path = settings.data_dir / "jwt_secret"
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f"jwt_secret.{os.getpid()}")
        if not path.exists():
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_hex(_SECRET_BYTES), encoding="ascii")
            try:
                # A link is made whole or not at all, so of several processes that start at once all read one secret.
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise ConfigurationError(f"the data folder {settings.data_dir} can't be used: {error.strerror}") from None
