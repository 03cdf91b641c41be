"""The links in mails: what they carry, and who issues and verifies them."""

from typing import NamedTuple, Protocol
from uuid import UUID

from models import MailPurpose


class LinkClaim(NamedTuple):
    """What a link's token is good for, if the user's password and address are still of these versions."""

    user_id: UUID
    password_version: int
    email_version: int
    address: str


class Links(Protocol):
    """Issues links whose tokens are signed and not stored, and verifies these tokens."""

    def issue(self, purpose: MailPurpose, claim: LinkClaim) -> str:
        """Return a new link, which expires after `hours`."""
        ...

    def hours(self, purpose: MailPurpose) -> int:
        """Return the lifetime of the links of this purpose."""
        ...

    def verify(self, token: str, *purposes: MailPurpose) -> tuple[MailPurpose, LinkClaim]:
        """Return the purpose and the claim of a token.

        Raises:
            InvalidToken: It is expired, forged, or for another purpose than these.
        """
        ...
