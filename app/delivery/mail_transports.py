"""Where mails go: to a mail server or, while there is none, into files."""

import asyncio
import os
import ssl
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)
from typing_extensions import override

from app.settings import MailServer, StartTLS

_FIRST_PERMANENT_CODE = 500
_QUIT_SECONDS = 2


class NotSent(Exception):
    """The mail was not taken. The message says why in a word: a server's own text may quote an address.

    `is_final` is whether another attempt would fail too.
    """

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final


class MailTransport(Protocol):
    """Takes mails."""

    async def send(self, message: EmailMessage, name: str, seconds: float) -> str | None:
        """Send the message, and return what the log should say.

        Raises:
            NotSent: It was not taken within so many seconds.
        """
        ...


class SMTPTransport(MailTransport):
    """Sends mails to a server, each on a connection of its own. `client_name` is what it calls itself (`EHLO`)."""

    def __init__(self, server: MailServer, client_name: str) -> None:
        self._server = server
        self._client_name = client_name

    @override
    async def send(self, message: EmailMessage, name: str, seconds: float) -> str | None:
        client = self._client()
        try:
            try:
                async with asyncio.timeout(seconds):
                    await client.connect()
                    await client.send_message(message)
            except (SMTPRecipientsRefused, SMTPSenderRefused, SMTPDataError) as error:
                # Only these are about the mail. A refused log-in or greeting is about the service, and may be mended.
                code = error.recipients[0].code if isinstance(error, SMTPRecipientsRefused) else error.code
                raise NotSent(str(code), is_final=code >= _FIRST_PERMANENT_CODE) from None
            except SMTPResponseException as error:
                raise NotSent(str(error.code)) from None
            except (SMTPException, OSError, TimeoutError, ValueError) as error:
                cause = error.__cause__ if isinstance(error, SMTPException) else None
                raise NotSent(type(cause or error).__name__) from None
            # The mail is taken. What happens from here on must not send it again.
            with suppress(SMTPException, OSError, TimeoutError):
                await client.quit(timeout=_QUIT_SECONDS)
        finally:
            client.close()
        return None

    def _client(self) -> SMTP:
        server = self._server
        context = ssl.create_default_context()
        if server.start_tls is StartTLS.OPPORTUNISTIC:
            # Checking would gain nothing: an attacker in between can also hide that the server offers TLS.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        start_tls = {StartTLS.REQUIRED: True, StartTLS.OPPORTUNISTIC: None, StartTLS.NEVER: False}
        return SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            local_hostname=self._client_name,
            use_tls=server.is_tls,
            start_tls=False if server.is_tls else start_tls[server.start_tls],
            tls_context=context,
        )


class FileTransport(MailTransport):
    """Writes mails into a folder, readable by the service's own user only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @override
    async def send(self, message: EmailMessage, name: str, seconds: float) -> str | None:
        path = self._folder / f"{name}.eml"
        try:
            await asyncio.to_thread(self._write, path, message.as_bytes())
        except OSError as error:
            raise NotSent(type(error).__name__) from None
        return f"without MAIL_URL, a mail was written to {path}"

    def _write(self, path: Path, content: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_suffix(".part")
        draft.unlink(missing_ok=True)
        # It appears with its whole content or not at all.
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123
            file.write(content)
        draft.replace(path)
