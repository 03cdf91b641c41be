"""Guessing is slow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from httpx import ASGITransport, AsyncClient, Response
from litestar import Litestar

from app.application import create_app
from app.auth.rate_limits import client_key
from app.settings import Settings
from tests.api.people import PASSWORD, Person, assert_problem


@pytest.fixture
def app(settings: Settings) -> Litestar:
    return create_app(settings.model_copy(update={"auth_rate_limit": "20/minute", "failure_limits": "3/minute;6/hour"}))


def assert_limited(response: Response, name: str, policy: str) -> None:
    assert_problem(response, 429)
    seconds = int(response.headers["retry-after"])
    assert 1 <= seconds <= 3600
    assert response.headers["ratelimit-policy"] == f'"{name}";{policy}'
    assert response.headers["ratelimit"] == f'"{name}";r=0;t={seconds}'


async def fail_to_log_in(client: AsyncClient, email: str) -> Response:
    return await client.post("/auth/login", json={"email": email, "password": "incorrect horse"})


@pytest.mark.parametrize("email", ["ada@example.com", "eve@example.com"])
async def test_failed_log_ins_on_one_account_make_it_wait_whether_it_exists_or_not(
    client: AsyncClient, ada: Person, email: str
) -> None:
    for _ in range(3):
        assert_problem(await fail_to_log_in(client, email), 401)

    assert_limited(await fail_to_log_in(client, email), "login", "q=3;w=60")


async def test_the_wait_holds_for_the_right_password_too_but_not_for_other_accounts(
    client: AsyncClient, ada: Person, bob: Person
) -> None:
    for _ in range(3):
        await fail_to_log_in(client, ada.email)

    right = await client.post("/auth/login", json={"email": ada.email, "password": PASSWORD})
    assert_limited(right, "login", "q=3;w=60")
    assert (await client.post("/auth/login", json={"email": bob.email, "password": PASSWORD})).status_code == 200


class TestWithManyClients:
    @pytest.fixture
    def app(self, settings: Settings) -> Litestar:
        limits = {"failure_limits": "3/minute", "account_failure_limits": "8/hour"}
        return create_app(settings.model_copy(update=limits))

    @asynccontextmanager
    async def at(self, app: Litestar, address: str) -> AsyncIterator[AsyncClient]:
        """Yield a client of the running service at another address."""
        transport = ASGITransport(app, client=(address, 50_000))  # type: ignore[arg-type]
        async with AsyncClient(transport=transport, base_url="http://postline") as client:
            yield client

    async def test_a_stranger_locks_out_their_own_address_only(self, app: Litestar, ada: Person) -> None:
        right = {"email": ada.email, "password": PASSWORD}
        async with self.at(app, "192.0.2.66") as stranger, self.at(app, "192.0.2.7") as owner:
            for _ in range(3):
                assert_problem(await fail_to_log_in(stranger, ada.email.upper()), 401)

            assert_limited(await stranger.post("/auth/login", json=right), "login", "q=3;w=60")
            assert (await owner.post("/auth/login", json=right)).status_code == 200

    @pytest.mark.parametrize("email", ["ada@example.com", "eve@example.com"])
    async def test_many_addresses_together_have_a_limit_that_no_known_one_waits_for(
        self, app: Litestar, ada: Person, email: str
    ) -> None:
        for number in range(8):
            async with self.at(app, f"198.51.100.{number}") as bot:
                assert_problem(await fail_to_log_in(bot, email), 401)

        async with self.at(app, "198.51.100.99") as bot:
            assert_limited(
                await bot.post("/auth/login", json={"email": email, "password": PASSWORD}), "account", "q=8;w=3600"
            )
            # With a session of hers, Ada comes in from there too, and from where she signed up without one.
            form = {"email": ada.email, "password": PASSWORD}
            assert (
                await Person(bot, ada.email, ada.tokens).request("POST", "/auth/login", json=form)
            ).status_code == 200
        assert (await ada.client.post("/auth/login", json=form)).status_code == 200


async def test_no_number_of_attempts_at_once_gets_past_the_limit(client: AsyncClient, ada: Person) -> None:
    answers = await asyncio.gather(*(fail_to_log_in(client, ada.email) for _ in range(15)))

    assert sorted(answer.status_code for answer in answers) == [401] * 3 + [429] * 12


async def test_a_live_session_is_no_way_to_guess_without_a_limit(ada: Person) -> None:
    form = {"email": ada.email, "password": "incorrect horse"}

    answers = [(await ada.request("POST", "/auth/login", json=form)).status_code for _ in range(5)]

    assert answers == [401, 401, 401, 429, 429]


async def test_a_client_with_a_session_is_not_limited_by_others_at_its_address(
    client: AsyncClient, ada: Person
) -> None:
    for _ in range(20):
        await client.post("/auth/refresh", json={"refresh_token": "x"})
    assert_problem(await client.post("/auth/refresh", json={"refresh_token": "x"}), 429)

    assert (await ada.request("POST", "/auth/logout")).status_code == 204


async def test_who_holds_a_live_session_is_not_locked_out_by_someone_elses_guessing(
    client: AsyncClient, ada: Person, bob: Person
) -> None:
    for _ in range(4):
        await fail_to_log_in(client, ada.email)
    form = {"email": ada.email, "password": PASSWORD}

    assert (await ada.request("POST", "/auth/login", json=form)).status_code == 200
    assert (await ada.get("/posts")).status_code == 200
    change = {"current_password": PASSWORD, "new_password": "another horse battery"}
    assert (await ada.request("PUT", "/me/password", json=change)).status_code == 204
    # Someone else's session is no key to this account.
    assert_problem(await bob.request("POST", "/auth/login", json=form), 429)


async def test_wrong_passwords_within_a_session_make_it_wait(ada: Person) -> None:
    change = {"current_password": "incorrect horse", "new_password": "another horse battery"}
    for _ in range(2):
        assert_problem(await ada.request("PUT", "/me/password", json=change), 403)
    assert_problem(await ada.request("DELETE", "/me", json={"password": "incorrect horse"}), 403)

    assert_limited(await ada.request("PUT", "/me/password", json=change), "password", "q=3;w=60")
    assert_limited(await ada.request("DELETE", "/me", json={"password": PASSWORD}), "password", "q=3;w=60")


async def test_one_address_may_ask_so_often(client: AsyncClient) -> None:
    for _ in range(20):
        assert_problem(await client.post("/auth/refresh", json={"refresh_token": "x"}), 401)

    assert_limited(await client.post("/auth/refresh", json={"refresh_token": "x"}), "auth", "q=20;w=60")
    assert_limited(
        await client.post("/auth/signup", json={"email": "ada@example.com", "password": PASSWORD}), "auth", "q=20;w=60"
    )
    assert (await client.get("/health/live")).status_code == 200


async def test_a_client_can_not_choose_its_address(client: AsyncClient) -> None:
    answers = [
        (
            await client.post(
                "/auth/refresh", json={"refresh_token": "x"}, headers={"x-forwarded-for": f"192.0.2.{number}"}
            )
        ).status_code
        for number in range(21)
    ]

    assert answers == [401] * 20 + [429]


async def test_posts_are_not_limited(ada: Person) -> None:
    assert {(await ada.get("/posts")).status_code for _ in range(40)} == {200}


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        (None, None, True),
    ],
)
def test_an_ipv6_customer_is_one_client(one: str | None, other: str | None, is_same: bool) -> None:
    assert (client_key(one) == client_key(other)) == is_same
