"""A person's sessions, seen and ended."""

from typing import Any

import pytest
from httpx import AsyncClient
from uuid_utils.compat import uuid7

from app.service import Policies
from app.services.sessions import SessionPolicy
from tests.api.conftest import Fired
from tests.api.people import PASSWORD, Person, assert_problem
from tests.conftest import on_every_database

pytestmark = on_every_database


async def log_in(client: AsyncClient, email: str, user_agent: str) -> Person:
    response = await client.post(
        "/auth/login", json={"email": email, "password": PASSWORD}, headers={"user-agent": user_agent}
    )
    assert response.status_code == 200
    return Person(client, email, response.json())


async def sessions_of(person: Person) -> list[dict[str, Any]]:
    response = await person.get("/auth/sessions")
    assert response.status_code == 200
    sessions: list[dict[str, Any]] = response.json()
    return sessions


@pytest.fixture
async def phone(client: AsyncClient, ada: Person) -> Person:
    return await log_in(client, ada.email, "phone")


async def test_live_sessions_are_listed_newest_first_with_the_asking_one_marked(
    ada: Person, phone: Person, bob: Person, fired: Fired
) -> None:
    sessions = await sessions_of(phone)

    assert sessions[0]["user_agent"] == "phone"
    assert [session["is_current"] for session in sessions] == [True, False]
    assert set(sessions[0]) == {"id", "user_agent", "created_at", "last_used_at", "expires_at", "is_current"}
    assert sessions[0]["expires_at"] > sessions[0]["last_used_at"] >= sessions[0]["created_at"]
    assert [session["is_current"] for session in await sessions_of(ada)] == [False, True]
    assert fired.take() == []


async def test_an_ended_session_is_refused_at_once_and_the_others_stay(ada: Person, phone: Person) -> None:
    await phone.get("/posts")
    (target,) = [session["id"] for session in await sessions_of(ada) if not session["is_current"]]

    response = await ada.request("DELETE", f"/auth/sessions/{target}")

    assert (response.status_code, response.content) == (204, b"")
    assert_problem(await phone.get("/posts"), 401)
    assert (await ada.get("/posts")).status_code == 200
    assert len(await sessions_of(ada)) == 1
    assert_problem(await ada.request("DELETE", f"/auth/sessions/{target}"), 404)


async def test_all_sessions_end_at_once(client: AsyncClient, ada: Person, phone: Person, bob: Person) -> None:
    assert (await ada.request("DELETE", "/auth/sessions")).status_code == 204

    for person in (ada, phone):
        assert_problem(await person.get("/posts"), 401)
        refreshed = await client.post("/auth/refresh", json={"refresh_token": person.tokens["refresh_token"]})
        assert_problem(refreshed, 401)
    assert (await bob.get("/posts")).status_code == 200


async def test_who_had_a_session_learns_what_ended_it(client: AsyncClient, ada: Person, phone: Person) -> None:
    (session,) = [each for each in await sessions_of(ada) if not each["is_current"]]
    await ada.request("DELETE", f"/auth/sessions/{session['id']}")
    ended = await phone.get("/me")
    assert (await ada.request("POST", "/me/erase", json={"password": PASSWORD})).status_code == 204
    erased = await ada.get("/me")
    forged = await client.get("/me", headers={"authorization": f"Bearer {ada.tokens['access_token']}x"})

    for refused, reason in ((ended, "session-ended"), (erased, "account-erased"), (forged, None)):
        assert_problem(refused, 401)
        assert refused.json()["type"] == "urn:problem-type:postline:unauthenticated"
        assert refused.json().get("reason") == reason


async def test_someone_elses_session_answers_as_a_missing_one(ada: Person, bob: Person) -> None:
    (target,) = [session["id"] for session in await sessions_of(ada)]

    theirs = await bob.request("DELETE", f"/auth/sessions/{target}")
    missing = await bob.request("DELETE", f"/auth/sessions/{uuid7()}")

    assert_problem(theirs, 404)
    assert {**theirs.json(), "detail": ""} == {**missing.json(), "detail": ""}
    assert (await ada.get("/posts")).status_code == 200


async def test_refreshing_shows_as_use_of_the_session(client: AsyncClient, phone: Person) -> None:
    (before,) = [session for session in await sessions_of(phone) if session["is_current"]]

    await client.post(
        "/auth/refresh", json={"refresh_token": phone.tokens["refresh_token"]}, headers={"user-agent": "phone"}
    )

    (after,) = [session for session in await sessions_of(phone) if session["is_current"]]
    assert after["last_used_at"] > before["last_used_at"]
    assert after["expires_at"] == before["expires_at"]


@pytest.mark.parametrize("policies", [Policies(sessions=SessionPolicy(max_sessions=3))], ids=["three at most"])
async def test_one_session_too_many_ends_the_one_that_was_not_used_for_longest(
    client: AsyncClient, ada: Person, phone: Person, bob: Person
) -> None:
    tablet = await log_in(client, ada.email, "tablet")
    refreshed = await client.post("/auth/refresh", json={"refresh_token": ada.tokens["refresh_token"]})
    assert refreshed.status_code == 200

    laptop = await log_in(client, ada.email, "laptop")

    assert len(await sessions_of(laptop)) == 3
    assert_problem(await phone.get("/posts"), 401)
    for person in (ada, tablet, bob):
        assert (await person.get("/posts")).status_code == 200
