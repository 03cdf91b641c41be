"""A forgotten password, and an address that is verified or changed, over HTTP; mails are files."""

import asyncio
from unittest.mock import patch

import pytest
from httpx import AsyncClient, Response
from litestar import Litestar
from sqlalchemy import func, select, true, update
from sqlmodel import col

from app.application import serve_over_http
from app.auth.passwords import Argon2Passwords
from app.service import build_service
from app.settings import Environment, Settings
from models import Mail, MailPurpose, User
from models.columns import now
from tests.api.conftest import Log, serve
from tests.api.people import PASSWORD, Person, assert_problem
from tests.api.test_query_counts import counted
from tests.mailbox import Mailbox, link_of

NEW_PASSWORD = "another horse battery"
NEW_ADDRESS = "lovelace@example.com"
INVALID_TOKEN = "urn:problem-type:postline:invalid-token"


@pytest.fixture
def mailbox(settings: Settings) -> Mailbox:
    return Mailbox(settings.data_dir)


async def ask(client: AsyncClient, email: str, **headers: str) -> Response:
    return await client.post("/auth/password-reset", json={"email": email}, headers=headers)


async def reset(client: AsyncClient, token: str, password: str = NEW_PASSWORD) -> Response:
    return await client.post("/auth/password-reset/confirm", json={"token": token, "new_password": password})


async def confirm(client: AsyncClient, token: str) -> Response:
    return await client.post("/me/email/confirm", json={"token": token})


async def log_in(client: AsyncClient, email: str, password: str) -> int:
    return (await client.post("/auth/login", json={"email": email, "password": password})).status_code


async def no_mail_waits(app: Litestar) -> None:
    statement = select(func.count()).select_from(Mail).where(true())
    async with asyncio.timeout(60):
        while (await app.state.service.database.first(statement))[0]:  # noqa: ASYNC110 - it happens in the database
            await asyncio.sleep(0.02)


async def test_a_forgotten_password_is_replaced_by_a_mailed_link(
    client: AsyncClient, ada: Person, mailbox: Mailbox
) -> None:
    await ada.add("stays")

    assert (await ask(client, "ADA@example.com")).status_code == 202
    token = await mailbox.token("password-reset", ada.email)
    answer = await reset(client, token)

    assert (answer.status_code, answer.content) == (204, b"")
    assert (await ada.get("/me")).status_code == 401
    assert await log_in(client, ada.email, PASSWORD) == 401
    tokens = await client.post("/auth/login", json={"email": ada.email, "password": NEW_PASSWORD})
    again = Person(client, ada.email, tokens.json())
    assert await again.texts() == ["stays"]
    assert (await again.get("/me")).json()["email_verified_at"] is not None
    await asyncio.to_thread(mailbox.wait_for, "password-changed", ada.email)


async def test_known_unknown_and_disabled_addresses_cost_and_get_the_same(
    app: Litestar, client: AsyncClient, ada: Person, bob: Person, mailbox: Mailbox
) -> None:
    async with app.state.service.database.writer.begin() as connection:
        await connection.execute(update(User).where(col(User.email) == bob.email).values(disabled_at=now()))
    await ask(client, "warms.up@example.com")

    seen = []
    for email in (ada.email, bob.email, "nobody@example.com"):
        # No password is hashed for anybody: that takes far longer than the rest.
        with counted(app) as statements, patch.object(Argon2Passwords, "_run", side_effect=AssertionError):
            answer = await ask(client, email)
        headers = {name: value for name, value in answer.headers.items() if name not in {"x-request-id", "date"}}
        seen.append((answer.status_code, answer.content, headers, statements))

    assert seen[0] == seen[1] == seen[2]
    assert seen[0][:2] == (202, b"")
    assert "SELECT" not in seen[0][3]
    await no_mail_waits(app)
    assert [message["To"] for message in mailbox.all("password-reset")] == [ada.email]


@pytest.mark.parametrize("email", ["ada@example.com\r\nBcc: eve@example.com", "a@b@c", "nobody", "", "Ada <a@b.com>"])
async def test_what_is_no_address_gets_no_mail(
    app: Litestar, client: AsyncClient, email: str, mailbox: Mailbox
) -> None:
    assert_problem(await ask(client, email), 400, "email")

    await no_mail_waits(app)
    assert mailbox.all("password-reset") == []


@pytest.mark.parametrize(
    "email", ["ada@example.com\r\nBcc: eve@example.com", "ada\r\n@example.com", "ada\n@example.com"]
)
async def test_line_breaks_in_an_address_are_refused_wherever_one_is_taken(
    app: Litestar, client: AsyncClient, ada: Person, email: str, mailbox: Mailbox
) -> None:
    for answer in (
        await client.post("/auth/signup", json={"email": email, "password": PASSWORD}),
        await ask(client, email),
        await ada.request("POST", "/me/email", json={"email": email, "password": PASSWORD}),
    ):
        assert_problem(answer, 400, "email")

    await no_mail_waits(app)
    assert [mailbox.all(purpose) for purpose in MailPurpose] == [[] for _ in MailPurpose]


@pytest.mark.parametrize("proxies", [(), ("*",)])
async def test_links_lead_where_the_settings_say_whatever_the_request_says(
    settings: Settings, mailbox: Mailbox, proxies: tuple[str, ...]
) -> None:
    trusting = settings.model_copy(update={"trusted_proxies": proxies, "public_url": "https://posts.example.com"})
    said = {
        "host": "evil.example",
        "x-forwarded-host": "evil.example",
        "x-forwarded-proto": "evil.example",
        "x-forwarded-prefix": "/evil.example",
        "forwarded": "host=evil.example;proto=http",
        "x-original-url": "http://evil.example/",
        "origin": "http://evil.example",
        "referer": "http://evil.example/",
    }
    async with serve(serve_over_http(build_service(trusting))) as client:
        ada = await Person.sign_up(client, "ada@example.com")
        change = {"email": NEW_ADDRESS, "password": PASSWORD}
        for answer in (
            await ask(client, ada.email, **said),
            await ada.request("POST", "/me/email/verification", headers=said),
            await ada.request("POST", "/me/email", json=change, headers=said),
        ):
            assert answer.status_code == 202
        messages = {
            purpose: await asyncio.to_thread(mailbox.wait_for, purpose, address)
            for purpose, address in [
                ("password-reset", ada.email),
                ("verify-email", ada.email),
                ("confirm-email", NEW_ADDRESS),
            ]
        }

    for purpose, message in messages.items():
        assert link_of(message).startswith(f"https://posts.example.com/#{purpose}=")
        assert "evil.example" not in message.as_string()


async def test_a_token_is_good_once_also_at_the_same_time(client: AsyncClient, ada: Person, mailbox: Mailbox) -> None:
    await ask(client, ada.email)
    token = await mailbox.token("password-reset", ada.email)

    answers = await asyncio.gather(*(reset(client, token, f"{NEW_PASSWORD} {number}") for number in range(8)))

    assert sorted(answer.status_code for answer in answers) == [204, *[400] * 7]
    (winner,) = [number for number, answer in enumerate(answers) if answer.status_code == 204]
    assert await log_in(client, ada.email, f"{NEW_PASSWORD} {winner}") == 200


async def test_every_token_that_is_no_good_gets_one_answer(client: AsyncClient, ada: Person, mailbox: Mailbox) -> None:
    await ask(client, ada.email)
    token = await mailbox.token("password-reset", ada.email)
    await ada.request("POST", "/me/email/verification")
    verification = await mailbox.token("verify-email", ada.email)
    assert (await confirm(client, token)).json()["type"] == INVALID_TOKEN
    await reset(client, token)

    answers = [await reset(client, each) for each in (token, verification, token[:-1], f"{token}0", "x", "a.b", "é.é")]

    assert {answer.content for answer in answers} == {answers[0].content}
    assert_problem(answers[0], 400)
    assert answers[0].json()["type"] == INVALID_TOKEN
    assert_problem(await reset(client, verification, "short"), 400, "new_password")


async def test_opening_a_link_consumes_nothing(client: AsyncClient, ada: Person, mailbox: Mailbox) -> None:
    """As mail scanners do. The token stands in the fragment, which they don't send, and only a POST takes it."""
    await ask(client, ada.email)
    token = await mailbox.token("password-reset", ada.email)

    for path in ("/", f"/?password-reset={token}", f"/auth/password-reset/confirm?token={token}"):
        await client.get(path)
        await client.head(path)

    assert (await reset(client, token)).status_code == 204


async def test_an_address_is_verified_by_a_mailed_link(client: AsyncClient, ada: Person, mailbox: Mailbox) -> None:
    assert (await ada.get("/me")).json()["email_verified_at"] is None

    assert (await ada.request("POST", "/me/email/verification")).status_code == 202
    token = await mailbox.token("verify-email", ada.email)

    assert (await confirm(client, token)).status_code == 204
    assert (await ada.get("/me")).json()["email_verified_at"] is not None
    assert_problem(await confirm(client, token), 400)


async def test_an_address_is_changed_by_a_link_to_the_new_one_and_the_old_one_is_told(
    client: AsyncClient, ada: Person, mailbox: Mailbox
) -> None:
    body = {"email": NEW_ADDRESS, "password": PASSWORD}
    assert (await ada.request("POST", "/me/email", json=body)).status_code == 202
    token = await mailbox.token("confirm-email", NEW_ADDRESS)
    await asyncio.to_thread(mailbox.wait_for, "email-change-requested", ada.email)
    assert (await ada.get("/me")).json()["email"] == ada.email

    assert (await confirm(client, token)).status_code == 204

    me = (await ada.get("/me")).json()
    assert me["email"] == NEW_ADDRESS
    assert me["email_verified_at"] is not None
    await asyncio.to_thread(mailbox.wait_for, "email-changed", ada.email)
    assert await log_in(client, NEW_ADDRESS, PASSWORD) == 200
    assert await log_in(client, ada.email, PASSWORD) == 401
    assert (await Person.sign_up(client, ada.email)).email == ada.email


async def test_an_address_that_is_taken_meanwhile_is_refused_and_nothing_is_half_done(
    client: AsyncClient, ada: Person, mailbox: Mailbox
) -> None:
    body = {"email": NEW_ADDRESS, "password": PASSWORD}
    await ada.request("POST", "/me/email", json=body)
    token = await mailbox.token("confirm-email", NEW_ADDRESS)
    await Person.sign_up(client, NEW_ADDRESS)

    assert_problem(await confirm(client, token), 409)

    me = (await ada.get("/me")).json()
    assert (me["email"], me["email_verified_at"]) == (ada.email, None)
    assert mailbox.all("email-changed") == []
    assert_problem(await ada.request("POST", "/me/email", json=body), 409)


async def test_a_change_of_address_that_waits_is_void_once_the_password_is_changed(
    app: Litestar, client: AsyncClient, ada: Person, mailbox: Mailbox
) -> None:
    """Also if its mail is sent only then: an intruder who asked for it must not get a link that works."""
    service = app.state.service
    await ada.request("POST", "/me/email", json={"email": NEW_ADDRESS, "password": PASSWORD})
    token = await mailbox.token("confirm-email", NEW_ADDRESS)
    async with service.transactions.begin() as unit:
        user = await unit.users.lock((await service.queries.passwords_of_address(ada.email))[0].user_id)
        await service.mails.queue(unit, "confirm-email", user, "late@example.com")
        user.password_version += 1
        await unit.commit()
    await no_mail_waits(app)

    assert mailbox.to("confirm-email", "late@example.com") == []
    assert_problem(await confirm(client, token), 400)


async def test_a_change_of_address_needs_a_session_and_the_password(client: AsyncClient, ada: Person) -> None:
    body = {"email": NEW_ADDRESS, "password": "not this one"}

    assert_problem(await ada.request("POST", "/me/email", json=body), 403)
    assert_problem(await client.post("/me/email", json=body), 401)
    assert_problem(await client.post("/me/email/verification"), 401)
    same = {"email": ada.email.upper(), "password": PASSWORD}
    assert_problem(await ada.request("POST", "/me/email", json=same), 400, "email")


async def test_mails_to_one_address_are_limited_for_known_and_unknown_ones_alike(
    client: AsyncClient, ada: Person
) -> None:
    for email in (ada.email, "nobody@example.com"):
        assert [(await ask(client, email)).status_code for _ in range(6)] == [202] * 5 + [429]
    answer = await ask(client, ada.email)
    assert_problem(answer, 429)
    assert int(answer.headers["retry-after"]) > 0


async def test_mails_of_one_client_are_limited(settings: Settings) -> None:
    limited = settings.model_copy(update={"mail_client_rate_limit": "2/hour"})
    async with serve(serve_over_http(build_service(limited))) as client:
        statuses = [(await ask(client, f"{number}@example.com")).status_code for number in range(3)]

    assert statuses == [202, 202, 429]


async def test_production_without_a_mail_server_says_so(settings: Settings) -> None:
    bare = settings.model_copy(update={"environment": Environment.PRODUCTION})
    async with serve(serve_over_http(build_service(bare))) as client:
        ada = await Person.sign_up(client, "ada@example.com")
        answers = [
            await ask(client, ada.email),
            await ask(client, "nobody@example.com"),
            await ada.request("POST", "/me/email/verification"),
            await ada.request("POST", "/me/email", json={"email": NEW_ADDRESS, "password": PASSWORD}),
        ]
        changed = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        assert (await ada.request("PUT", "/me/password", json=changed)).status_code == 204

    for answer in answers:
        assert_problem(answer, 503)
        assert answer.json()["type"] == "urn:problem-type:postline:mail-not-configured"
    assert not (settings.data_dir / "mail").exists()


async def test_neither_tokens_nor_addresses_are_logged(
    app: Litestar, client: AsyncClient, ada: Person, mailbox: Mailbox, log: Log
) -> None:
    await ask(client, ada.email)
    token = await mailbox.token("password-reset", ada.email)
    await reset(client, token)
    await reset(client, token)
    await asyncio.to_thread(mailbox.wait_for, "password-changed", ada.email)
    await no_mail_waits(app)

    written = log.take()
    assert "mail/password-reset-" in written
    for secret in (token, token.partition(".")[2], ada.email, NEW_PASSWORD):
        assert secret not in written
