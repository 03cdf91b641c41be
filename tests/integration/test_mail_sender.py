"""Sending mails: each once, again where it fails, encrypted, and not for ever."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.database.engines import Database
from app.delivery.leases import LeaseLost
from app.delivery.mail_sender import MailPolicy
from app.errors import ConfigurationError
from app.service import Policies, Service
from app.storage.pruning import Pruner
from models import Mail, MailPurpose, PasswordResetRequest, User
from models.columns import now
from tests.factories import UserFactory
from tests.service import service_on
from tests.smtp_server import MailServer, certificate, mail_server

SOON = MailPolicy(poll=0.05, first_delay=0.02, longest_delay=0.05, lease=40)
WAITING = Policies(mail=SOON)


class Node:
    """One process's share of the service, as far as mails need it."""

    def __init__(self, database: Database, url: str | None, policies: Policies = WAITING, **settings: object) -> None:
        self.database = database
        self.service: Service = service_on(database, settings={"mail_url": url, **settings}, policies=policies)
        self.queue = self.service.mail_queue

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        (sender,) = [task for task in self.service.background if type(task).__name__ == "MailSender"]
        running = asyncio.create_task(sender.run())
        try:
            yield
        finally:
            sender.stop()
            await asyncio.wait([running])

    async def add_user(self, email: str = "ada@example.com") -> User:
        user: User = UserFactory.build(email=email)
        async with self.service.transactions.begin() as unit:
            await unit.users.add(user)
            await unit.commit()
        return user

    async def ask(self, email: str = "ada@example.com") -> None:
        await self.service.recovery.request_password(PasswordResetRequest(email=email), "client")

    async def mails(self) -> list[Mail]:
        async with AsyncSession(self.database.reader) as session:
            return list((await session.exec(select(Mail))).all())

    async def settled(self) -> None:
        """Wait until no mail waits."""
        async with asyncio.timeout(60):
            while any(mail.due_at is not None for mail in await self.mails()):  # noqa: ASYNC110 - what is waited for happens in the database
                await asyncio.sleep(0.02)

    async def failed(self, count: int) -> Mail:
        async with asyncio.timeout(60):
            while True:
                (mail,) = await self.mails()
                if mail.attempts >= count:
                    return mail
                await asyncio.sleep(0.02)


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
def node(database: Database, server: MailServer) -> Node:
    return Node(database, server.url())


async def test_a_mail_is_sent_once_says_what_it_is_and_leaves_the_queue(node: Node, server: MailServer) -> None:
    await node.add_user()
    async with node.sending():
        await node.ask()
        await node.settled()

    (mail,) = server.received
    assert (mail.sender, mail.recipient) == ("postline@localhost", "ada@example.com")
    message = mail.message
    assert message["To"] == "ada@example.com"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"].endswith("@localhost>")
    assert message["Date"].datetime.tzinfo is not None
    assert mail.link.startswith("http://127.0.0.1:8000/#password-reset=")
    html = message.get_body(("html",))
    assert html is not None
    assert f'href="{mail.link}"' in html.get_content()
    assert await node.mails() == []


async def test_nobody_gets_a_mail_for_an_unknown_address_or_a_disabled_user(node: Node, server: MailServer) -> None:
    disabled = await node.add_user("disabled@example.com")
    await node.add_user()
    async with node.database.writer.begin() as connection:
        await connection.execute(update(User).where(col(User.id) == disabled.id).values(disabled_at=now()))
    for email in ("nobody@example.com", "disabled@example.com", "ada@example.com"):
        await node.ask(email)
    async with node.sending():
        await node.settled()

    assert server.recipients == ["ada@example.com"]
    assert await node.mails() == []


@pytest.mark.parametrize("at", ["on_recipient", "on_data"])
async def test_a_mail_that_is_refused_for_now_is_retried(node: Node, server: MailServer, at: str) -> None:
    await node.add_user()
    setattr(server, at, "451 try again later")
    async with node.sending():
        await node.ask()
        waiting = await node.failed(2)
        setattr(server, at, None)
        await node.settled()

    assert waiting.error == "451"
    assert server.recipients == ["ada@example.com"]


@pytest.mark.parametrize("at", ["on_recipient", "on_data"])
async def test_a_mail_that_is_refused_for_good_is_given_up_and_its_address_forgotten(
    database: Database, server: MailServer, at: str, capsys: pytest.CaptureFixture[str]
) -> None:
    node = Node(database, server.url())
    await node.add_user()
    setattr(server, at, "550 no such mailbox: ada@example.com")
    async with node.sending():
        await node.ask()
        await node.settled()

    (mail,) = await node.mails()
    assert (mail.address, mail.error, mail.attempts) == ("", "550", 1)
    assert mail.given_up_at is not None
    assert server.attempts == 1
    logged = capsys.readouterr().err
    assert "a mail (password-reset) was given up: 550" in logged
    assert "ada@example.com" not in logged
    statuses = {one.purpose: one for one in await node.queue.status()}
    assert (statuses[MailPurpose.PASSWORD_RESET].waiting, statuses[MailPurpose.PASSWORD_RESET].given_up) == (0, 1)
    assert b'postline_mails_given_up{purpose="password-reset"} 1.0' in await node.service.metrics.exposition()

    pruner = Pruner(node.database, retention=node.service.policies.storage.retention, interval=timedelta(seconds=300))
    await pruner.prune()
    assert len(await node.mails()) == 1
    async with node.database.writer.begin() as connection:
        await connection.execute(update(Mail).values(given_up_at=now() - timedelta(days=8)))
    await pruner.prune()
    assert await node.mails() == []


async def test_a_mail_that_fails_for_a_day_is_given_up(node: Node, server: MailServer) -> None:
    await node.add_user()
    server.on_recipient = "451 try again later"
    await node.ask()
    async with node.database.writer.begin() as connection:
        await connection.execute(update(Mail).values(created_at=now() - timedelta(days=1)))
    async with node.sending():
        await node.settled()

    (mail,) = await node.mails()
    assert (mail.error, server.attempts) == ("451", 1)
    assert mail.given_up_at is not None


async def test_a_server_that_hangs_up_after_the_data_has_not_taken_the_mail(node: Node, server: MailServer) -> None:
    await node.add_user()
    server.drops_after_data = True
    async with node.sending():
        await node.ask()
        await node.failed(1)
        server.drops_after_data = False
        await node.settled()

    assert server.recipients == ["ada@example.com"]


async def test_a_server_that_hangs_is_not_waited_for(database: Database, server: MailServer) -> None:
    node = Node(database, server.url(), Policies(mail=MailPolicy(poll=0.05, first_delay=0.02, lease=11)))
    await node.add_user()
    server.hangs_after_data = True
    async with node.sending():
        await node.ask()
        waiting = await node.failed(1)
        server.hangs_after_data = False
        await node.settled()

    assert waiting.error == "TimeoutError"
    assert set(server.recipients) == {"ada@example.com"}


async def test_a_server_that_is_away_is_tried_again(database: Database) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    node = Node(database, f"smtp://127.0.0.1:{port}?starttls=never")
    await node.add_user()
    async with node.sending():
        await node.ask()
        await node.failed(1)
        with mail_server(port=port) as server:
            await node.settled()

    assert server.recipients == ["ada@example.com"]


async def test_each_attempt_has_a_new_token_and_one_message_id(node: Node, server: MailServer) -> None:
    await node.add_user()
    server.on_data = "451 try again later"
    async with node.sending():
        await node.ask()
        mail = await node.failed(1)
        server.on_data = None
        await node.settled()

    assert server.received[0].message["Message-ID"] == f"<{mail.id.hex}@localhost>"


async def test_what_waits_holds_no_token(node: Node, server: MailServer) -> None:
    await node.add_user()
    server.on_data = "451 try again later"
    async with node.sending():
        await node.ask()
        await node.failed(1)
        (stored,) = await node.mails()
        server.on_data = None
        await node.settled()

    token = server.received[0].token
    assert not any(token.partition(".")[2] in str(value) for _, value in stored)


async def test_several_processes_send_each_mail_once(database: Database, server: MailServer) -> None:
    nodes = [Node(database, server.url(), mail_client_rate_limit="1000/hour") for _ in range(3)]
    for number in range(20):
        await nodes[0].add_user(f"user{number}@example.com")
    async with nodes[0].sending(), nodes[1].sending(), nodes[2].sending():
        for number in range(20):
            await nodes[number % 3].ask(f"user{number}@example.com")
        await nodes[0].settled()

    assert sorted(server.recipients) == sorted(f"user{number}@example.com" for number in range(20))


async def test_a_claimed_mail_is_nobody_elses_until_its_lease_expires(node: Node) -> None:
    await node.add_user()
    await node.ask()
    (lost,) = await node.queue.claim(10, timedelta(seconds=40))
    assert await node.queue.claim(10, timedelta(seconds=40)) == []

    async with node.database.writer.begin() as connection:
        await connection.execute(update(Mail).values(due_at=now()))
    (mail,) = await node.queue.claim(10, timedelta(seconds=40))
    for late in (node.queue.remove(lost), node.queue.failed(lost, "451", now()), node.queue.give_up(lost, "550")):
        with pytest.raises(LeaseLost):
            await late
    await node.queue.remove(mail)

    assert await node.mails() == []


async def test_a_sender_that_stops_finishes_the_attempt_that_has_begun(node: Node, server: MailServer) -> None:
    await node.add_user()
    server.hangs_after_data = True
    async with node.sending():
        await node.ask()
        await asyncio.to_thread(server.wait_for_attempts, 1)
        asyncio.get_running_loop().call_later(0.2, setattr, server, "hangs_after_data", False)

    assert server.recipients == ["ada@example.com"]
    assert await node.mails() == []


async def test_starttls_is_required_by_default(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: MailServer
) -> None:
    context, path = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    node = Node(database, server.url(""))
    await node.add_user()
    async with node.sending():
        await node.ask()
        await node.failed(1)
    with mail_server(tls=context) as encrypting:
        async with Node(database, encrypting.url("", "ada:p%40ss@")).sending():
            await node.settled()

    assert server.received == []
    assert [mail.is_encrypted for mail in encrypting.received] == [True]
    assert encrypting.log_ins == [(b"ada", b"p@ss")]


async def test_smtps_is_encrypted_from_the_first_byte(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, path = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with mail_server(tls=context, is_tls_from_start=True) as server:
        node = Node(database, f"smtps://127.0.0.1:{server.port}")
        await node.add_user()
        async with node.sending():
            await node.ask()
            await node.settled()

    assert server.recipients == ["ada@example.com"]


@pytest.mark.parametrize("name", ["another.example", "127.0.0.1"])
async def test_a_wrong_certificate_gets_neither_the_mail_nor_the_password(
    database: Database, tmp_path: Path, name: str
) -> None:
    """A certificate for another name, and one that nobody trusts."""
    context, _ = certificate(tmp_path, name)
    with mail_server(tls=context) as server:
        node = Node(database, server.url("?starttls=required", "ada:secret@"))
        await node.add_user()
        async with node.sending():
            await node.ask()
            await node.failed(2)

    assert (server.attempts, server.log_ins) == (0, [])


@pytest.mark.parametrize("offers_tls", [True, False])
async def test_opportunistic_encryption_takes_what_there_is(
    database: Database, tmp_path: Path, *, offers_tls: bool
) -> None:
    context, _ = certificate(tmp_path, "another.example")
    with mail_server(tls=context if offers_tls else None) as server:
        node = Node(database, server.url("?starttls=opportunistic"))
        await node.add_user()
        async with node.sending():
            await node.ask()
            await node.settled()

    assert [mail.is_encrypted for mail in server.received] == [offers_tls]


async def test_a_refused_log_in_is_tried_again_and_not_given_up(database: Database, server: MailServer) -> None:
    node = Node(database, server.url(credentials="ada:wrong@"))
    await node.add_user()
    async with node.sending():
        await node.ask()
        mail = await node.failed(2)

    assert (mail.error, mail.given_up_at) == ("535", None)


async def test_a_deployments_templates_replace_ours_and_are_escaped(
    database: Database, server: MailServer, tmp_path: Path
) -> None:
    (tmp_path / "password-reset.html").write_text("<p>{{ address }}</p><a href='{{ link }}'>Grüße</a>")
    node = Node(database, server.url(), mail_templates=tmp_path)
    await node.add_user("a&b'@example.com")
    async with node.sending():
        await node.ask("a&b'@example.com")
        await node.settled()

    (mail,) = server.received
    html = mail.message.get_body(("html",))
    assert html is not None
    assert "<p>a&amp;b&#39;@example.com</p>" in html.get_content()
    assert "Grüße" in html.get_content()
    assert mail.link.startswith("http://127.0.0.1:8000/#password-reset=")


@pytest.mark.parametrize("content", ["Hello", "Subject: {{ unknown }}\n", "Subject: {% if %}\n", "Subject: \n"])
async def test_a_template_that_can_not_be_used_is_refused_at_the_start(
    database: Database, tmp_path: Path, content: str
) -> None:
    (tmp_path / "password-reset.txt").write_text(content)

    with pytest.raises(ConfigurationError, match=r"^MAIL_TEMPLATES: password-reset can't be used: [^\n]*$"):
        Node(database, None, mail_templates=tmp_path)
    with pytest.raises(ConfigurationError, match="there is no folder"):
        Node(database, None, mail_templates=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("address", "recipient"), [("ada@exämple.com", "ada@xn--exmple-cua.com"), ("adä@example.com",) * 2]
)
async def test_an_international_address_gets_its_mail(
    node: Node, server: MailServer, address: str, recipient: str
) -> None:
    await node.add_user(address)
    async with node.sending():
        await node.ask(address)
        await node.settled()

    assert server.recipients == [recipient]


async def test_without_a_server_mails_are_files_and_the_log_names_them(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = Node(database, None, data_dir=tmp_path / "data")
    for address in ("ada@example.com", "adä@exämple.com"):
        await node.add_user(address)
        await node.ask(address)
    async with node.sending():
        await node.settled()

    folder = tmp_path / "data" / "mail"
    assert folder.stat().st_mode & 0o777 == 0o700
    files = sorted(folder.iterdir())
    assert [(file.suffix, file.stat().st_mode & 0o777) for file in files] == [(".eml", 0o600)] * 2
    logged = capsys.readouterr().err
    assert all(str(file) in logged for file in files)
    assert "ada@" not in logged
    assert "#password-reset=" in files[0].read_text()
