"""People who use the service, and what a problem document looks like to them."""

from typing import Any, Self

from httpx import AsyncClient, Response

PASSWORD = "correct horse battery"


class Person:
    """Someone with an account, whose requests carry their token."""

    def __init__(self, client: AsyncClient, email: str, tokens: dict[str, Any]) -> None:
        self.client = client
        self.email = email
        self.tokens = tokens

    @classmethod
    async def sign_up(cls, client: AsyncClient, email: str) -> Self:
        response = await client.post("/auth/signup", json={"email": email, "password": PASSWORD})
        assert response.status_code == 201, response.text
        return cls(client, email, response.json())

    async def request(self, method: str, path: str, **options: Any) -> Response:
        headers = {"authorization": f"Bearer {self.tokens['access_token']}"} | options.pop("headers", {})
        return await self.client.request(method, path, headers=headers, **options)

    async def get(self, path: str, **options: Any) -> Response:
        return await self.request("GET", path, **options)

    async def add(self, text: str) -> str:
        response = await self.request("POST", "/posts", json={"text": text})
        assert response.status_code == 201, response.text
        post_id: str = response.json()["postID"]
        return post_id

    async def texts(self) -> list[str]:
        response = await self.get("/posts")
        assert response.status_code == 200, response.text
        return [post["text"] for post in response.json()]


def assert_problem(response: Response, status: int, *fields: str) -> None:
    """Check that the answer is a problem document of this status, naming these fields and no others."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["type"]
    assert problem["title"]
    assert problem["detail"]
    assert [error["field"] for error in problem.get("errors", [])] == list(fields)
    assert all(error["message"] for error in problem.get("errors", []))
    assert ("www-authenticate" in response.headers) == (status == 401)
