"""What the OpenAPI document says of errors, once for all routes."""

from litestar.datastructures import ResponseHeader
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example

from app.problems import PROBLEM_MEDIA_TYPE, Problem

BEARER = [{"bearer": list[str]()}]

_DESCRIPTIONS = {
    400: "The request is malformed or has invalid fields.",
    401: "The token is missing, malformed, expired, or its session has ended.",
    404: "There is no such object, or it is someone else's.",
    409: "The address belongs to another account.",
    412: "`If-Match` does not name the current version.",
    413: "The body is larger than 1 MiB.",
    415: "The body is not declared as JSON.",
    503: "The service can't answer now; try again after `Retry-After` seconds.",
}


def problems(*statuses: int, **descriptions: str) -> dict[int, ResponseSpec]:
    """Return the problem documents that a route answers with, for its `responses`."""
    return {
        status: ResponseSpec(
            data_container=Problem,
            description=descriptions.get(f"on_{status}", _DESCRIPTIONS[status]),
            media_type=PROBLEM_MEDIA_TYPE,
            generate_examples=False,
            examples=[Example(value={"type": "about:blank", "title": "…", "status": status, "detail": "…"})],
        )
        for status in statuses
    }


def header(name: str, description: str) -> ResponseHeader:
    """Return a response header for the document only; the handler sets it."""
    return ResponseHeader(name=name, description=description, documentation_only=True)
