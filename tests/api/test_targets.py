"""How long a path and a query may be."""

import pytest
from httpx import AsyncClient

from tests.api.people import Person, assert_problem

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.mark.parametrize("path", ["/posts", "/me", "/health/live", "/nowhere", "/docs/assets/swagger-ui.css"])
async def test_an_address_that_is_too_long_is_refused_everywhere(ada: Person, path: str) -> None:
    fits = f"{path}?x={'a' * (8000 - len(path) - 2)}"

    assert (await ada.get(fits)).status_code in {200, 404}
    assert_problem(await ada.get(fits + "a"), 414)
    assert_problem(await ada.get(f"/docs/assets/{'a' * 8000}"), 414)


async def test_a_query_with_too_many_parameters_is_refused(ada: Person) -> None:
    assert (await ada.get("/posts?" + "&".join(["limit=1"] * 100))).status_code == 200
    assert_problem(await ada.get("/posts?" + "&".join(["limit=1"] * 101)), 414)
    assert_problem(await ada.get("/posts?" + "&" * 100), 414)


async def test_the_refusal_protects_a_browser_as_every_answer_does(client: AsyncClient) -> None:
    response = await client.get(f"/{'a' * 8000}")

    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-request-id"]
