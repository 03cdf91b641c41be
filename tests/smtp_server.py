"""A mail server that records each message. A test chooses whether it accepts, refuses, hangs or disconnects."""

import asyncio
import logging
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, NamedTuple

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.e2e.server import free_port

START_SECONDS = 20

# aiosmtpd logs the addresses of each mail, into the same log in which tests check that the service writes none.
logging.getLogger("mail.log").setLevel(logging.ERROR)


class ReceivedMail(NamedTuple):
    sender: str
    recipient: str
    is_encrypted: bool
    content: bytes

    @property
    def message(self) -> EmailMessage:
        message = message_from_bytes(self.content, policy=default)
        assert isinstance(message, EmailMessage)
        return message

    @property
    def text(self) -> str:
        part = self.message.get_body(("plain",))
        assert part is not None
        text: str = part.get_content()
        return text

    @property
    def link(self) -> str:
        (link,) = [line for line in self.text.splitlines() if "/#" in line]
        return link

    @property
    def token(self) -> str:
        return self.link.partition("#")[2].partition("=")[2]


class MailServer:
    """`on_recipient` and `on_data` are what it answers at these commands, if not that all is well.

    While `hangs_after_data`, it answers nothing once it has a mail; while `drops_after_data`, it hangs up instead.
    `attempts` counts mails that were offered, `log_ins` holds the users and passwords that it was given.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.received: list[ReceivedMail] = []
        self.log_ins: list[tuple[bytes, bytes]] = []
        self.attempts = 0
        self.on_recipient: str | None = None
        self.on_data: str | None = None
        self.hangs_after_data = False
        self.drops_after_data = False
        self.is_stopping = False

    @property
    def recipients(self) -> list[str]:
        return [mail.recipient for mail in list(self.received)]

    def url(self, options: str = "?starttls=never", credentials: str = "") -> str:
        return f"smtp://{credentials}127.0.0.1:{self.port}{options}"

    def wait_for(self, count: int, *, seconds: float = 60) -> list[ReceivedMail]:
        deadline = time.monotonic() + seconds
        while len(self.received) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(self.received) >= count, f"{len(self.received)} of {count} came"
        return list(self.received)

    def wait_for_attempts(self, count: int, *, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while self.attempts < count and time.monotonic() < deadline:
            time.sleep(0.02)
        assert self.attempts >= count, f"{self.attempts} of {count} were made"

    async def handle_RCPT(  # noqa: N802 - the server calls it by this name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.on_recipient is not None:
            self.attempts += 1
            return self.on_recipient
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.attempts += 1
        while self.hangs_after_data and not self.is_stopping:  # noqa: ASYNC110 - the test is another thread
            await asyncio.sleep(0.02)
        if self.drops_after_data:
            assert server.transport is not None
            server.transport.close()
            return "421 not taken"
        if self.on_data is not None:
            return self.on_data
        assert isinstance(envelope.content, bytes)
        (recipient,) = envelope.rcpt_tos
        is_encrypted = session.ssl is not None
        self.received.append(ReceivedMail(envelope.mail_from or "", recipient, is_encrypted, envelope.content))
        return "250 OK"

    def log_in(self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.log_ins.append((data.login, data.password))
        return AuthResult(success=data.password != b"wrong", handled=False)


@contextmanager
def mail_server(
    *, port: int | None = None, tls: ssl.SSLContext | None = None, is_tls_from_start: bool = False, **options: Any
) -> Iterator[MailServer]:
    """Run a mail server on this machine. With `tls` it offers STARTTLS, or speaks TLS from the start."""
    server = MailServer(port or free_port())

    class Listening(Controller):
        def factory(self) -> SMTP:
            return SMTP(
                server,
                tls_context=None if is_tls_from_start else tls,
                authenticator=server.log_in,
                auth_require_tls=False,
                hostname="localhost",
                ident="test",
                enable_SMTPUTF8=True,
                **options,
            )

    controller = Listening(
        server,
        hostname="127.0.0.1",
        port=server.port,
        ssl_context=tls if is_tls_from_start else None,
        ready_timeout=START_SECONDS,
    )
    controller.start()
    try:
        yield server
    finally:
        server.is_stopping = True
        controller.stop()


def certificate(folder: Path, name: str = "127.0.0.1") -> tuple[ssl.SSLContext, Path]:
    """Return a server's TLS context with a new self-signed certificate for a name, and the certificate's file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    try:
        alternative: x509.GeneralName = x509.IPAddress(IPv4Address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    at = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - timedelta(days=1))
        .not_valid_after(at + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    key_path = folder / f"{name}.key"
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path, key_path)
    return context, path
