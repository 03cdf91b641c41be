"""Issues and verifies the links in mails."""

import base64
import binascii
import hashlib
import hmac
import time
from uuid import UUID

import msgspec
from typing_extensions import override

from app.auth.keys import Keyring
from app.errors import InvalidToken
from app.ports.mail import LinkClaim, Links
from models import MailPurpose

_HOURS = {MailPurpose.PASSWORD_RESET: 1, MailPurpose.VERIFY_EMAIL: 24, MailPurpose.CONFIRM_EMAIL: 24}
_SECONDS_PER_HOUR = 3600

_Contents = tuple[MailPurpose, UUID, int, int, int, str]
_decoder = msgspec.json.Decoder(_Contents)


class SignedLinks(Links):
    """Issues links that hold a token in their fragment, which browsers do not send: only a script's POST uses it.

    A token is `contents.signature`. It is good once without being stored, because it names the versions of the user's
    password and address, and using it changes one of them. Each purpose has keys of its own, derived from the keyring's
    secrets.
    """

    def __init__(self, keyring: Keyring, public_url: str) -> None:
        self._public_url = public_url
        self._keys = {
            purpose: [hashlib.sha256(f"{purpose}-link:{secret}".encode()).digest() for secret in keyring.secrets]
            for purpose in _HOURS
        }

    @override
    def hours(self, purpose: MailPurpose) -> int:
        return _HOURS[purpose]

    @override
    def issue(self, purpose: MailPurpose, claim: LinkClaim) -> str:
        expires_at = int(time.time()) + _HOURS[purpose] * _SECONDS_PER_HOUR
        contents: _Contents = (
            purpose,
            claim.user_id,
            claim.password_version,
            claim.email_version,
            expires_at,
            claim.address,
        )
        body = base64.urlsafe_b64encode(msgspec.json.encode(contents)).rstrip(b"=").decode()
        return f"{self._public_url}/#{purpose}={body}.{_sign(self._keys[purpose][0], body)}"

    @override
    def verify(self, token: str, *purposes: MailPurpose) -> tuple[MailPurpose, LinkClaim]:
        body, _, signature = token.partition(".")
        for purpose in purposes:
            for key in self._keys[purpose]:
                if hmac.compare_digest(_sign(key, body).encode(), signature.encode()):
                    return purpose, _read(purpose, body)
        raise InvalidToken


def _sign(key: bytes, body: str) -> str:
    # Hexadecimal, because programs that find links in plain text may leave out a last character that is no letter.
    return hmac.digest(key, body.encode(), "sha256").hex()


def _read(purpose: MailPurpose, body: str) -> LinkClaim:
    try:
        contents = _decoder.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise InvalidToken from None
    signed_purpose, user_id, password_version, email_version, expires_at, address = contents
    if signed_purpose != purpose or time.time() >= expires_at:
        raise InvalidToken
    return LinkClaim(user_id, password_version, email_version, address)
