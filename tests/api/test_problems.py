"""Every error is a problem document, also those that no route of ours gives."""

import logging

import pytest
from httpx import AsyncClient
from litestar import Litestar
from sqlalchemy.exc import OperationalError

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
    response = await ada.request("POST", "/posts", json={f"field{number}": 1 for number in range(5000)})

    assert response.status_code == 400
    assert len(response.json()["errors"]) == 100


async def test_a_database_that_does_not_answer_is_503_with_a_time_to_come_back(
    app: Litestar, client: AsyncClient, ada: Person, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> None:
        raise OperationalError("SELECT secret", {"password": PASSWORD}, Exception("gone"), hide_parameters=True)

    monkeypatch.setattr(app.state.database, "writing", away)
    with caplog.at_level(logging.ERROR):
        response = await ada.request("POST", "/posts", json={"text": "hello"})

    assert_problem(response, 503)
    assert int(response.headers["retry-after"]) > 0
    assert PASSWORD not in caplog.text


async def test_an_unexpected_error_is_500_and_tells_the_client_nothing(
    app: Litestar, ada: Person, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise RuntimeError("the details of it")

    monkeypatch.setattr(app.state.database, "writing", broken)
    with caplog.at_level(logging.ERROR):
        response = await ada.request("POST", "/posts", json={"text": "a text of mine"})

    assert_problem(response, 500)
    assert "the details of it" not in response.text
    assert "the details of it" in caplog.text
    assert "a text of mine" not in caplog.text
