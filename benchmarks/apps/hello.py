"""The ceiling: the shortest answer of bare Litestar."""

from litestar import Litestar, get


@get("/hello")
async def hello() -> dict[str, str]:
    """Answer `GET /hello`."""
    return {"hello": "world"}


app = Litestar([hello], openapi_config=None)
