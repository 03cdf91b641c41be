"""The mails that a service without a mail server writes into its data folder."""

import asyncio
import time
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

WAIT_SECONDS = 60


class Mailbox:
    """Mails by purpose: `wait_for` returns the newest one to an address, once there are enough."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "mail"

    def all(self, purpose: str) -> list[EmailMessage]:
        found = []
        for path in sorted(self._folder.glob(f"{purpose}-????????????????????????????????.eml")):
            message = message_from_bytes(path.read_bytes(), policy=default)
            assert isinstance(message, EmailMessage)
            found.append(message)
        return found

    def to(self, purpose: str, address: str) -> list[EmailMessage]:
        return [message for message in self.all(purpose) if message["To"] == address]

    def wait_for(self, purpose: str, address: str, count: int = 1) -> EmailMessage:
        deadline = time.monotonic() + WAIT_SECONDS
        while len(found := self.to(purpose, address)) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} came"
            time.sleep(0.02)
        return found[-1]

    async def token(self, purpose: str, address: str, count: int = 1) -> str:
        """Return the token in the newest mail to the address."""
        return token_of(await asyncio.to_thread(self.wait_for, purpose, address, count))


def link_of(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    assert part is not None
    (link,) = [line for line in part.get_content().splitlines() if "/#" in line]
    return str(link)


def token_of(message: EmailMessage) -> str:
    return link_of(message).partition("#")[2].partition("=")[2]
