"""Receivers that refuse, hang, drip, lie or send without end: what is read of them is bounded, and so is the time."""

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.delivery import receiver_connections, webhook_client
from app.delivery.destinations import PublicDestinations
from app.delivery.receiver_connections import AnswerTooLong
from app.delivery.webhook_client import Answer, WebhookClient
from tests import receiver as receivers
from tests.receiver import Behaviour, MisbehavingReceiver, misbehaving

SECONDS = 0.5
HEADERS = {"host": "127.0.0.1", "content-length": "2"}
ENDLESS_HEADS = [
    receivers.send_interim_responses_for_ever,
    receivers.send_short_interim_responses_for_ever,
    receivers.send_a_head_without_end,
    receivers.send_a_status_line_without_end,
    receivers.send_chunk_extensions_without_end,
    receivers.send_trailers_without_end,
]


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Count all that arrives from receivers."""
    counts = list[int]()
    receive = receiver_connections._CountedStream.receive

    async def count(self: receiver_connections._CountedStream, max_bytes: int = 65_536) -> bytes:
        before = self.received
        try:
            return await receive(self, max_bytes)
        finally:
            counts.append(self.received - before)

    monkeypatch.setattr(receiver_connections._CountedStream, "receive", count)
    return lambda: sum(counts)


@pytest.fixture
def certificate(tmp_path: Path) -> ssl.SSLContext:
    """A server's context for 127.0.0.1; `SSL_CERT_FILE` makes clients trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "certificate.pem"
    file.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context


@asynccontextmanager
async def client(seconds: float = SECONDS) -> AsyncIterator[WebhookClient]:
    client = WebhookClient(PublicDestinations([ip_network("127.0.0.0/8")]), max_connections=10, seconds=seconds)
    try:
        yield client
    finally:
        await client.close()


async def post(receiver: MisbehavingReceiver, seconds: float = SECONDS) -> Answer:
    async with client(seconds) as sender:
        return await sender.post(receiver.url, HEADERS, b"{}")


@pytest.mark.parametrize("behave", ENDLESS_HEADS)
async def test_an_answer_without_end_is_given_up(behave: Behaviour, received: Callable[[], int]) -> None:
    with misbehaving(behave) as receiver, pytest.raises(AnswerTooLong) as failure:
        await post(receiver, seconds=60)

    assert str(failure.value) == "the answer is too long: more than 16 KiB before its end"
    assert received() <= (16 + 4) * 1024


@pytest.mark.parametrize("behave", ENDLESS_HEADS)
async def test_an_answer_without_end_is_given_up_over_tls_too(
    behave: Behaviour, received: Callable[[], int], certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_client, "default_tls", _trusting_nobody)
    with misbehaving(behave, tls=certificate) as receiver, pytest.raises(AnswerTooLong):
        await post(receiver, seconds=60)

    assert received() <= (64 + 4) * 1024


async def test_what_tls_adds_is_bounded_as_well(
    received: Callable[[], int], certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_client, "default_tls", _trusting_nobody)
    monkeypatch.setattr(receiver_connections, "_MAX_WIRE_BYTES", 200)
    with misbehaving(receivers.close_without_an_answer, tls=certificate) as receiver, pytest.raises(AnswerTooLong):
        await post(receiver, seconds=60)

    assert received() <= 4 * 1024


async def test_of_a_body_without_end_a_kibibyte_is_read_and_the_connection_closed(
    received: Callable[[], int],
) -> None:
    closed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def send(connection: receivers.Misbehaviour) -> None:
        try:
            receivers.send_a_body_without_end(connection)
        except OSError:
            loop.call_soon_threadsafe(closed.set)

    async with client(60) as sender:
        with misbehaving(send) as receiver:
            answer = await sender.post(receiver.url, HEADERS, b"{}")
            async with asyncio.timeout(20):
                await closed.wait()

    assert answer == (200, b"x" * 1024, None)
    assert received() <= (1 + 4) * 1024 + len("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")


@pytest.mark.parametrize(
    "behave",
    [
        receivers.hang_before_the_head,
        receivers.hang_within_the_head,
        receivers.hang_after_the_head,
        receivers.drip,
    ],
)
async def test_an_answer_that_takes_too_long_is_given_up(behave: Behaviour) -> None:
    with misbehaving(behave) as receiver, pytest.raises(TimeoutError):
        await post(receiver)


@pytest.mark.parametrize(
    "behave",
    [
        receivers.close_without_an_answer,
        receivers.close_within_the_head,
        receivers.close_within_the_body,
        receivers.send_garbage,
        receivers.switch_protocols,
    ],
)
async def test_what_is_no_answer_is_a_failure(behave: Behaviour) -> None:
    with misbehaving(behave) as receiver, pytest.raises((httpcore.ProtocolError, httpcore.NetworkError)):
        await post(receiver, seconds=60)


async def test_a_compressed_body_is_not_inflated(received: Callable[[], int]) -> None:
    def send(connection: receivers.Misbehaviour) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00")

    with misbehaving(send) as receiver:
        assert (await post(receiver, seconds=60)).excerpt == b"\x1f\x8b\x08\x00"


async def test_what_one_attempt_may_be_answered_is_counted_anew_for_the_next() -> None:
    head = b"HTTP/1.1 200 OK\r\nx-long: " + b"x" * 10_000 + b"\r\ncontent-length: 2\r\n\r\nok"

    def send(connection: receivers.Misbehaviour) -> None:
        for _ in range(20):
            connection.send(head)
            receivers._read_request(connection._connection)

    async with client(60) as sender:
        with misbehaving(send) as receiver:
            for _ in range(20):
                assert (await sender.post(receiver.url, HEADERS, b"{}")).excerpt == b"ok"
            assert receiver.connections == 1


async def test_a_connection_with_an_answer_that_nobody_asked_for_is_not_used_again() -> None:
    was_answered, has_sent_more = threading.Event(), threading.Event()

    def send(connection: receivers.Misbehaviour) -> None:
        connection.send(receivers.HEAD + b"ok")
        was_answered.wait(60)
        connection.send(b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n")
        has_sent_more.set()
        connection.wait_for_end()

    async with client(60) as sender:
        with misbehaving(send) as receiver:
            assert (await sender.post(receiver.url, HEADERS, b"{}")).status == 200
            was_answered.set()
            await asyncio.to_thread(has_sent_more.wait, 60)
            assert (await sender.post(receiver.url, HEADERS, b"{}")).status == 200
            assert receiver.connections == 2


def _trusting_nobody() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
