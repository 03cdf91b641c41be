"""Signing up, logging in, refreshing and logging out."""

import asyncio
from datetime import timedelta
from unicodedata import normalize

import pytest
from httpx import AsyncClient
from litestar import Litestar

from app.application import create_app
from app.service import Policies
from app.services.sessions import SessionPolicy
from app.settings import Settings
from tests.api.conftest import Fired, serve
from tests.api.people import PASSWORD, Person, assert_problem
from tests.factories import SignUpFactory


@pytest.mark.parametrize("path", ["/auth/signup", "/auth/login"])
async def test_tokens_open_the_authenticated_routes(client: AsyncClient, fired: Fired, path: str) -> None:
    form = {"email": "ada@example.com", "password": PASSWORD}
    if path == "/auth/login":
        await client.post("/auth/signup", json=form)

    response = await client.post(path, json=form)

    assert response.status_code == (201 if path == "/auth/signup" else 200)
    tokens = response.json()
    assert set(tokens) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 900)
    assert (await Person(client, "", tokens).get("/posts")).status_code == 200
    assert fired.take() == []


async def test_generated_forms_sign_up_and_log_in(client: AsyncClient) -> None:
    for form in SignUpFactory.batch(5):
        body = {"email": form.email, "password": form.password}
        assert (await client.post("/auth/signup", json=body)).status_code == 201
        assert (await client.post("/auth/login", json=body)).status_code == 200


@pytest.mark.parametrize("email", ["ada@example.com", "ADA@Example.COM"])
async def test_an_address_signs_up_once_in_any_case(client: AsyncClient, ada: Person, email: str) -> None:
    assert_problem(await client.post("/auth/signup", json={"email": email, "password": PASSWORD}), 409)


async def test_an_address_logs_in_in_any_case(client: AsyncClient, ada: Person) -> None:
    response = await client.post("/auth/login", json={"email": "Ada@EXAMPLE.com", "password": PASSWORD})

    assert response.status_code == 200


@pytest.mark.parametrize(
    ("signed_up", "typed"),
    [
        ("T\u0308om@example.com", "\u1e97om@example.com"),
        ("J\u030cim@example.com", "\u01f0im@example.com"),
        ("H\u0331al@example.com", "\u1e96al@example.com"),
        ("ΨΣ7@example.com", "ψ\u03c37@example.com"),
        ("ψς@example.com", "ΨΣ@example.com"),
        ("straße@example.com", "STRASSE@example.com"),
        ("jürgen@MÜNCHEN.example.org", "JU\u0308RGEN@xn--mnchen-3ya.example.org"),
    ],
)
async def test_an_address_is_one_account_in_every_case(client: AsyncClient, signed_up: str, typed: str) -> None:
    ada = await Person.sign_up(client, signed_up)
    email = (await ada.get("/me")).json()["email"]

    for address in (typed, signed_up, email):
        body = {"email": address, "password": PASSWORD}
        assert_problem(await client.post("/auth/signup", json=body), 409)
        response = await client.post("/auth/login", json=body)
        assert response.status_code == 200
        assert (await Person(client, "", response.json()).get("/me")).json()["email"] == email
    assert email == normalize("NFC", email)


async def test_of_many_sign_ups_in_different_cases_one_succeeds(client: AsyncClient) -> None:
    ways = ["straße@example.com", "STRASSE@example.com", "strasse@example.com", "Strasse@example.com"] * 2

    answers = await asyncio.gather(
        *(client.post("/auth/signup", json={"email": way, "password": PASSWORD}) for way in ways)
    )

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7


@pytest.mark.parametrize("email", [f"{'İ' * 100}@example.com", f"{'İ' * 62}{'ŉ' * 60}@example.com"])
async def test_an_address_that_is_too_long_in_lower_case_can_not_sign_up(client: AsyncClient, email: str) -> None:
    assert_problem(await client.post("/auth/signup", json={"email": email, "password": PASSWORD}), 400, "email")


@pytest.mark.parametrize("email", ["admin@nas.local", "root@localhost", "a..b@example.com", "x@[::1]"])
async def test_an_address_that_could_not_sign_up_logs_in_like_an_unknown_one(client: AsyncClient, email: str) -> None:
    unknown = await client.post("/auth/login", json={"email": "nobody@example.com", "password": PASSWORD})

    response = await client.post("/auth/login", json={"email": email, "password": PASSWORD})

    assert_problem(response, 401)
    assert response.content == unknown.content


@pytest.mark.parametrize(
    "email", [5, None, ["a@b"], "ada", "@example.com", "ada@", "a\x00@b", "x" * 255 + "@example.com"]
)
async def test_what_has_not_the_shape_of_an_address_is_no_log_in(client: AsyncClient, email: object) -> None:
    assert_problem(await client.post("/auth/login", json={"email": email, "password": PASSWORD}), 400, "email")


async def test_an_unknown_address_and_a_wrong_password_get_the_same_answer(client: AsyncClient, ada: Person) -> None:
    wrong = await client.post("/auth/login", json={"email": ada.email, "password": "incorrect horse"})
    unknown = await client.post("/auth/login", json={"email": "eve@example.com", "password": PASSWORD})

    assert_problem(wrong, 401)
    assert_problem(unknown, 401)
    assert wrong.content == unknown.content
    drop = {"date", "x-request-id"}
    assert {k: v for k, v in wrong.headers.items() if k not in drop} == {
        k: v for k, v in unknown.headers.items() if k not in drop
    }


async def test_an_unknown_address_takes_the_hashes_of_a_wrong_password_after_the_parameters_changed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(create_app(settings)) as client:
        old = await Person.sign_up(client, "old@example.com")
    app = create_app(settings.model_copy(update={"argon2_memory_kib": 16, "argon2_iterations": 3}))
    context = app.state.service.passwords._context
    verify = context.verify
    made: list[str] = []

    def noting(password: str, password_hash: str) -> bool:
        made.append(password_hash.split("$")[3])
        return bool(verify(password, password_hash))

    monkeypatch.setattr(context, "verify", noting)
    async with serve(app) as client:
        new = await Person.sign_up(client, "new@example.com")
        for email in ("eve@example.com", old.email, new.email, "eve@example.com"):
            made.clear()
            assert_problem(await client.post("/auth/login", json={"email": email, "password": "incorrect horse"}), 401)
            assert sorted(made) == ["m=16,t=3,p=1", "m=8,t=1,p=1"], email


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["email", "password"]),
        ({"email": "ada", "password": PASSWORD}, ["email"]),
        ({"email": "ada@example.com", "password": "short"}, ["password"]),
        ({"email": "ada@example.com", "password": "k" * 129}, ["password"]),
        ({"email": "ada@example.com", "password": "password1"}, ["password"]),
        ({"email": "ada@example.com", "password": PASSWORD, "id": "x"}, ["id"]),
        ({"email": ["ada@example.com"], "password": PASSWORD}, ["email"]),
    ],
)
async def test_an_invalid_sign_up_names_its_fields(client: AsyncClient, body: object, fields: list[str]) -> None:
    assert_problem(await client.post("/auth/signup", json=body), 400, *fields)


async def test_an_invalid_sign_up_does_not_repeat_the_password(client: AsyncClient) -> None:
    response = await client.post("/auth/signup", json={"email": "ada", "password": "hunter2"})

    assert "hunter2" not in response.text


@pytest.mark.parametrize("body", [{}, {"email": "ada", "password": "x"}, {"email": "ada@example.com", "password": ""}])
async def test_an_invalid_log_in_is_no_wrong_password(client: AsyncClient, body: object) -> None:
    assert (await client.post("/auth/login", json=body)).status_code == 400


async def test_hashes_are_renewed_at_log_in_when_the_parameters_change(settings: Settings) -> None:
    form = {"email": "ada@example.com", "password": PASSWORD}
    stronger = settings.model_copy(update={"argon2_memory_kib": 16})

    async with serve(create_app(settings)) as client:
        await client.post("/auth/signup", json=form)
    app = create_app(stronger)
    async with serve(app) as client:
        for _ in range(2):
            assert (await client.post("/auth/login", json=form)).status_code == 200
            assert "m=16," in await stored_hash(app)
    async with serve(create_app(stronger)) as client:
        assert (await client.post("/auth/login", json=form)).status_code == 200


async def test_log_ins_at_once_all_succeed_while_the_hash_is_renewed(settings: Settings) -> None:
    form = {"email": "ada@example.com", "password": PASSWORD}
    async with serve(create_app(settings)) as client:
        await client.post("/auth/signup", json=form)

    async with serve(create_app(settings.model_copy(update={"argon2_memory_kib": 16}))) as client:
        answers = await asyncio.gather(*(client.post("/auth/login", json=form) for _ in range(6)))

    assert [answer.status_code for answer in answers] == [200] * 6


async def stored_hash(app: Litestar) -> str:
    async with app.state.service.database.reading() as connection:
        password_hash: str = (await connection.exec_driver_sql("SELECT password_hash FROM users")).scalar_one()
    return password_hash


async def test_a_session_outlives_a_restart(settings: Settings) -> None:
    async with serve(create_app(settings)) as client:
        tokens = (await Person.sign_up(client, "ada@example.com")).tokens
    async with serve(create_app(settings)) as client:
        assert (await Person(client, "", tokens).get("/posts")).status_code == 200


async def test_a_logged_out_session_is_refused_at_once_and_the_others_stay(client: AsyncClient, ada: Person) -> None:
    login = await client.post("/auth/login", json={"email": ada.email, "password": PASSWORD})
    other = Person(client, ada.email, login.json())
    await ada.get("/posts")

    response = await ada.request("POST", "/auth/logout")

    assert (response.status_code, response.content) == (204, b"")
    assert_problem(await ada.get("/posts"), 401)
    assert_problem(await ada.request("POST", "/auth/logout"), 401)
    refreshed = await client.post("/auth/refresh", json={"refresh_token": ada.tokens["refresh_token"]})
    assert_problem(refreshed, 401)
    assert (await other.get("/posts")).status_code == 200


async def test_a_session_that_is_ended_twice_at_once_is_ended_once(ada: Person) -> None:
    answers = await asyncio.gather(*(ada.request("POST", "/auth/logout") for _ in range(4)))

    assert sorted(answer.status_code for answer in answers) == [204, 401, 401, 401]


async def refresh(client: AsyncClient, token: str, user_agent: str = "browser") -> Person | None:
    response = await client.post("/auth/refresh", json={"refresh_token": token}, headers={"user-agent": user_agent})
    if response.status_code == 401:
        assert_problem(response, 401)
        return None
    assert response.status_code == 200, response.text
    return Person(client, "", response.json())


@pytest.fixture
async def browser(client: AsyncClient, ada: Person) -> Person:
    response = await client.post(
        "/auth/login", json={"email": ada.email, "password": PASSWORD}, headers={"user-agent": "browser"}
    )
    return Person(client, ada.email, response.json())


async def test_a_refresh_answers_with_new_tokens_of_the_same_session(client: AsyncClient, browser: Person) -> None:
    renewed = await refresh(client, browser.tokens["refresh_token"])

    assert renewed is not None
    assert renewed.tokens["refresh_token"] != browser.tokens["refresh_token"]
    assert (await renewed.get("/posts")).status_code == 200
    again = await refresh(client, renewed.tokens["refresh_token"])
    assert again is not None


@pytest.mark.parametrize(
    "policies", [Policies(sessions=SessionPolicy(concurrent_refresh=timedelta(seconds=-1)))], ids=["late"]
)
async def test_using_a_dead_refresh_token_ends_its_session(client: AsyncClient, browser: Person) -> None:
    renewed = await refresh(client, browser.tokens["refresh_token"])
    assert renewed is not None
    assert (await renewed.get("/posts")).status_code == 200

    assert await refresh(client, browser.tokens["refresh_token"]) is None

    assert_problem(await renewed.get("/posts"), 401)
    assert await refresh(client, renewed.tokens["refresh_token"]) is None


async def test_two_tabs_that_refresh_at_once_get_the_same_successor(client: AsyncClient, browser: Person) -> None:
    first = await refresh(client, browser.tokens["refresh_token"])
    second = await refresh(client, browser.tokens["refresh_token"])

    assert first is not None
    assert second is not None
    assert first.tokens["refresh_token"] == second.tokens["refresh_token"]
    assert await refresh(client, first.tokens["refresh_token"]) is not None


async def test_another_client_with_a_dead_refresh_token_ends_the_session_at_once(
    client: AsyncClient, browser: Person
) -> None:
    renewed = await refresh(client, browser.tokens["refresh_token"])
    assert renewed is not None

    assert await refresh(client, browser.tokens["refresh_token"], user_agent="thief") is None
    assert_problem(await renewed.get("/posts"), 401)


async def test_a_token_two_generations_old_ends_the_session(client: AsyncClient, browser: Person) -> None:
    first = await refresh(client, browser.tokens["refresh_token"])
    assert first is not None
    second = await refresh(client, first.tokens["refresh_token"])
    assert second is not None

    assert await refresh(client, browser.tokens["refresh_token"]) is None
    assert_problem(await second.get("/posts"), 401)


@pytest.mark.parametrize("token", ["x", "a.b.c", "01a205448e89740bba0e523ec97aa0ff.1.forged"])
async def test_what_is_no_refresh_token_is_refused(client: AsyncClient, token: str) -> None:
    assert await refresh(client, token) is None


async def test_a_forged_refresh_token_does_not_end_the_session_it_names(client: AsyncClient, browser: Person) -> None:
    session, generation, _ = browser.tokens["refresh_token"].split(".")

    assert await refresh(client, f"{session}.{generation}.forged") is None
    assert (await browser.get("/posts")).status_code == 200


async def test_an_expired_session_opens_nothing(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"session_seconds": -1}))
    async with serve(app) as client:
        ada = await Person.sign_up(client, "ada@example.com")
        assert_problem(await ada.get("/posts"), 401)
        assert await refresh(client, ada.tokens["refresh_token"]) is None
