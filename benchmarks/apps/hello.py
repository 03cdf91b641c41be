"""The ceiling: what Litestar itself takes to answer."""

from litestar import Litestar, get


@get("/hello")
async def hello() -> dict[str, str]:
    """Answer `GET /hello`."""
    return {"hello": "world"}


app = Litestar([hello], openapi_config=None)
