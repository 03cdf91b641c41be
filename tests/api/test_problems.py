"""Every error is a problem document, also those that no route of ours gives."""

import logging

import pytest
from httpx import AsyncClient
from litestar import Litestar
from sqlalchemy.exc import OperationalError

from app.application import create_app
from app.settings import Settings
from tests.api.conftest import serve
from tests.api.people import PASSWORD, Person, assert_problem


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/posts/x/y",
        "/auth",
        "/docs/nope.js",
        "/docs/assets/nope.js",
        "/docs/assets/%00",
        f"/docs/assets/{'a' * 300}",
    ],
)
async def test_an_unknown_address_is_not_found(client: AsyncClient, path: str) -> None:
    assert_problem(await client.get(path), 404)


async def test_a_body_with_many_faults_gets_a_list_of_the_first(ada: Person) -> None:
    response = await ada.request("POST", "/posts", json={f"field{number}": 1 for number in range(100)})

    assert response.status_code == 400
    assert len(response.json()["errors"]) == 10


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/auth/signup", {"email": "bob@example.com", "password": "short"}, "String should have at least 8 characters"),
        ("/posts", {"text": "a\x00b"}, "The character NUL is not permitted"),
        ("/posts", {"text": "a", "data": 1}, "Extra inputs are not permitted"),
        ("/posts", ["text"], "A JSON object is required"),
    ],
)
async def test_what_is_wrong_with_a_body_is_said_in_words(ada: Person, path: str, body: object, message: str) -> None:
    response = await ada.request("POST", path, json=body)

    assert [error["message"] for error in response.json()["errors"]] == [message]


async def test_what_is_wrong_with_a_number_is_said_in_words(ada: Person) -> None:
    response = await ada.get("/posts?limit=01")

    message = "Expected a whole number without leading zeros"
    assert response.json()["errors"] == [{"field": "limit", "message": message}]


async def test_a_database_that_does_not_answer_is_503_with_a_time_to_come_back(
    app: Litestar, ada: Person, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> None:
        raise OperationalError("SELECT secret", {"password": PASSWORD}, Exception("gone"), hide_parameters=True)

    monkeypatch.setattr(app.state.service.database, "writing", away)
    with caplog.at_level(logging.ERROR):
        response = await ada.request("POST", "/posts", json={"text": "hello"})

    assert_problem(response, 503)
    assert int(response.headers["retry-after"]) > 0
    assert PASSWORD not in caplog.text


async def test_a_service_whose_connections_are_all_in_use_says_that_it_is_busy(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"database_pool_size": 1, "database_timeout_seconds": 1}))
    async with serve(app) as client:
        ada = await Person.sign_up(client, "ada@example.com")
        async with app.state.service.database.reader.connect(), app.state.service.database.writer.connect():
            response = await ada.request("POST", "/posts", json={"text": "hello"})

        assert_problem(response, 503)
        assert "busy" in response.json()["detail"]
        assert int(response.headers["retry-after"]) > 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_sqlite_file_that_is_full_is_503_for_what_does_not_fit(app: Litestar, ada: Person) -> None:
    await ada.add("before")

    await set_on_writer(app, "max_page_count = 1")
    # More than there is room for on pages that are there already.
    assert_problem(await ada.request("POST", "/posts", json={"text": "x" * 200_000}), 503)
    assert await ada.texts() == ["before"]

    await set_on_writer(app, "max_page_count = 1000000")
    await ada.add("after")
    assert await ada.texts() == ["after", "before"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_sqlite_file_that_is_read_only_is_read_and_not_ready(
    app: Litestar, client: AsyncClient, ada: Person
) -> None:
    await ada.add("before")

    await set_on_writer(app, "query_only = ON")
    assert_problem(await ada.request("POST", "/posts", json={"text": "hello"}), 503)
    assert await ada.texts() == ["before"]
    assert_problem(await client.get("/health/ready"), 503)
    assert (await client.get("/health/live")).status_code == 200

    await set_on_writer(app, "query_only = OFF")
    await ada.add("after")
    assert (await client.get("/health/ready")).status_code == 200


async def set_on_writer(app: Litestar, pragma: str) -> None:
    """Set something on the one connection that writes to SQLite."""
    connection = await app.state.service.database.writer.raw_connection()
    await connection.driver_connection.execute(f"PRAGMA {pragma}")
    connection.close()


async def test_an_unexpected_error_is_500_and_tells_the_client_nothing(
    app: Litestar, ada: Person, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise RuntimeError("the details of it")

    monkeypatch.setattr(app.state.service.database, "writing", broken)
    with caplog.at_level(logging.ERROR):
        response = await ada.request("POST", "/posts", json={"text": "a text of mine"})

    assert_problem(response, 500)
    assert "the details of it" not in response.text
    assert "the details of it" in caplog.text
    assert "a text of mine" not in caplog.text
