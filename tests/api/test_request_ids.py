"""Request ids: each answer has one, by which it is found in the log."""

import re

import pytest
from httpx import AsyncClient

from tests.api.people import Person

# Whatever the database is.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def test_every_answer_has_an_id_of_its_own(client: AsyncClient, ada: Person) -> None:
    answers = [
        await ada.get("/posts"),
        await ada.get("/posts"),
        await ada.get("/posts", headers={"if-none-match": '"0"'}),
        await client.get("/posts"),
        await client.get("/nope"),
        await client.put("/posts"),
        await client.get("/docs"),
    ]

    ids = [answer.headers.get_list("x-request-id") for answer in answers]
    assert all(len(each) == 1 and re.fullmatch("[0-9a-f]{32}", each[0]) for each in ids)
    assert len({each[0] for each in ids}) == len(answers)


@pytest.mark.parametrize("sent", ["a", "01a20544-8f6d-7250-9b81-05646f62c3bb", "web_1.2", "x" * 64])
async def test_a_sane_id_is_kept(client: AsyncClient, sent: str) -> None:
    response = await client.get("/health/live", headers={"x-request-id": sent})

    assert response.headers["x-request-id"] == sent


@pytest.mark.parametrize("sent", [b"", b"x" * 65, b"a b", b"a\n", b'"a"', b"{}", b"\xc3\xa9", b"a/b", b"a;b"])
async def test_any_other_is_replaced(client: AsyncClient, sent: bytes) -> None:
    response = await client.get("/health/live", headers=[(b"x-request-id", sent)])

    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


async def test_the_document_tells_of_it(client: AsyncClient) -> None:
    assert "X-Request-ID" in (await client.get("/openapi.json")).json()["info"]["description"]
