"""Mails, queued in the transaction of what they tell of."""

from app.errors import MailNotConfigured
from app.ports.unit_of_work import UnitOfWork
from events.types import MailsQueued
from models import Mail, MailPurpose, User


class Mails:
    """Queues mails, if the service can send any. They are composed and sent afterwards (`app.delivery.mail_sender`).

    With `greets`, who signs up is asked to confirm their address.
    """

    def __init__(self, *, is_configured: bool, greets: bool = False) -> None:
        self._is_configured = is_configured
        self.greets = greets

    def require(self) -> None:
        """Raise `MailNotConfigured` if the service can't send mails."""
        if not self._is_configured:
            raise MailNotConfigured("This service can't send mail. Ask the people who run it for help.")

    async def queue(self, unit: UnitOfWork, purpose: MailPurpose, user: User, address: str | None = None) -> None:
        """Queue a mail to the user, or to another address of theirs."""
        if not self._is_configured:
            return
        await self.queue_unaddressed(
            unit,
            Mail(
                purpose=purpose,
                user_id=user.id,
                address=address or user.email,
                password_version=user.password_version,
                email_version=user.email_version,
            ),
        )

    async def queue_unaddressed(self, unit: UnitOfWork, mail: Mail) -> None:
        """Queue a mail of which is found out later whether anybody is to get it."""
        await unit.add(mail)
        unit.record(MailsQueued())
