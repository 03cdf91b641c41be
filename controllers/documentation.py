"""Errors and headers in the OpenAPI document, described once for all routes."""

from collections.abc import Mapping
from typing import Any

from litestar.datastructures import ResponseHeader
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example

from app.errors import (
    DomainError,
    EmailTaken,
    IdempotencyKeyReused,
    InvalidCredentials,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    TooManyRequests,
    TooManyWebhooks,
    Unauthenticated,
    UnsupportedMediaType,
    WrongPassword,
)
from app.http.problems import BLANK, PROBLEM_MEDIA_TYPE, Problem, problem_type, status_title

BEARER = [{"bearer": list[str]()}]
OPTIONAL_BEARER = [{}, *BEARER]


def described(description: str, **schema: Any) -> dict[str, Any]:
    """Return the documentation of a header. Its type is a string unless `schema` says otherwise."""
    return {"description": description, "schema": {"type": "string"} | schema}


_PROBLEMS: dict[type[DomainError] | int, str] = {
    InvalidRequest: "The request is malformed or has invalid fields.",
    Unauthenticated: "The token is missing, malformed, expired, or its session has ended.",
    InvalidCredentials: "The address is unknown or the password wrong.",
    WrongPassword: "The password that confirms the request is wrong.",
    NotFound: "There is no such object, or it is someone else's.",
    EmailTaken: "The address belongs to another account.",
    TooManyWebhooks: "The user already has the maximum number of webhooks.",
    PreconditionFailed: "`If-Match` does not name the current version.",
    413: "The body is larger than 1,048,576 bytes.",
    UnsupportedMediaType: "The body is not declared as JSON.",
    IdempotencyKeyReused: "The `Idempotency-Key` was used before, with another body.",
    TooManyRequests: "A rate limit is used up; try again after `Retry-After` seconds.",
    503: "The service can't answer now; try again after `Retry-After` seconds.",
}

# The error that a route documents if it names only the status.
_USUAL = {
    kind.status: kind
    for kind in (
        InvalidRequest,
        Unauthenticated,
        WrongPassword,
        NotFound,
        PreconditionFailed,
        UnsupportedMediaType,
        IdempotencyKeyReused,
        TooManyRequests,
    )
}

PROBLEM_HEADERS = {
    401: {"WWW-Authenticate": described("`Bearer` (RFC 6750).")},
    429: {
        "Retry-After": described("Seconds to wait.", type="integer", minimum=1),
        "RateLimit": described("The limit that is used up, and the seconds until it resets."),
        "RateLimit-Policy": described("The limit's quota and its period."),
    },
    503: {"Retry-After": described("Seconds to wait, if known.", type="integer", minimum=1)},
}
"""The headers of a problem document, by its status."""


def problems(*kinds: type[DomainError] | int, **descriptions: str) -> dict[int, ResponseSpec]:
    """Return the problem documents that a route answers with, for its `responses`.

    Each kind is an error, or a status, which stands for the usual error with it. The keyword `on_<status>` replaces the
    description.
    """
    return dict(_problem(_USUAL.get(kind, kind) if isinstance(kind, int) else kind, descriptions) for kind in kinds)


def _problem(kind: type[DomainError] | int, descriptions: Mapping[str, str]) -> tuple[int, ResponseSpec]:
    if isinstance(kind, int):
        status, title, type_ = kind, status_title(kind), BLANK
    else:
        status, title, type_ = kind.status, kind.title, problem_type(kind)
    description = descriptions.get(f"on_{status}", _PROBLEMS[kind])
    example = {"type": type_, "title": title, "status": status, "detail": description}
    return status, ResponseSpec(
        data_container=Problem,
        description=description,
        media_type=PROBLEM_MEDIA_TYPE,
        generate_examples=False,
        examples=[Example(value=example)],
    )


def response_header(name: str, description: str) -> ResponseHeader:
    """Return a response header for the document only; the handler sets it."""
    return ResponseHeader(name=name, description=description, documentation_only=True)
