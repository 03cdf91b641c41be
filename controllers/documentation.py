"""What the OpenAPI document says of errors, headers and examples, once for all routes."""

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
    """Return a header of the document: a string, where the schema says nothing else."""
    return {"description": description, "schema": {"type": "string"} | schema}


_PROBLEMS: dict[type[DomainError] | int, str] = {
    InvalidRequest: "The request is malformed or has invalid fields.",
    Unauthenticated: "The token is missing, malformed, expired, or its session has ended.",
    InvalidCredentials: "The address is unknown or the password wrong.",
    WrongPassword: "The password that confirms the request is wrong.",
    NotFound: "There is no such object, or it is someone else's.",
    EmailTaken: "The address belongs to another account.",
    TooManyWebhooks: "There are as many webhooks as one person may have.",
    PreconditionFailed: "`If-Match` does not name the current version.",
    413: "The body is larger than 1,048,576 bytes.",
    UnsupportedMediaType: "The body is not declared as JSON.",
    IdempotencyKeyReused: "The `Idempotency-Key` was used before, with another body.",
    TooManyRequests: "A limit is used up; try again after `Retry-After` seconds.",
    503: "The service can't answer now; try again after `Retry-After` seconds.",
}

# Which of them a route means that names the status.
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
        "RateLimit": described("The limit that is used up, and the seconds until it is not."),
        "RateLimit-Policy": described("What that limit allows."),
    },
    503: {"Retry-After": described("Seconds to wait, where that can be said.", type="integer", minimum=1)},
}
"""The headers of a problem document, by its status."""

_POST_ID = "01a20544-8f6d-7250-9b81-05646f62c3bb"
_CREDENTIALS = {"email": "ada@example.com", "password": "correct horse battery"}

_WEBHOOK = {
    "id": "01a20544-8e94-7b16-a3b3-5b9a9a0a4f0e",
    "url": "https://example.com/hook",
    "events": ["post.created"],
    "created_at": "2026-01-02T03:04:05.678901Z",
    "failing_since": None,
    "disabled_at": None,
    "disabled_reason": None,
}

EXAMPLES: dict[str, Any] = {
    "Health": {"status": "ok"},
    "LogIn": _CREDENTIALS,
    "PasswordChange": {"current_password": "correct horse battery", "new_password": "another horse battery"},
    "PasswordConfirmation": {"password": "correct horse battery"},
    "PostCreate": {"text": "Hello, timeline! 👋"},
    "PostCreated": {"postID": _POST_ID},
    "PostRead": {
        "postID": _POST_ID,
        "text": "Hello, timeline! 👋",
        "created_at": "2026-01-02T03:04:05.678901Z",
        "updated_at": "2026-01-02T03:04:05.678901Z",
        "version": 1,
    },
    "PostUpdate": {"text": "Hello again, timeline!"},
    "RefreshRequest": {"refresh_token": "01a205448e89740bba0e523ec97aa0ff.1.sJxNu0nr35EIcIeS5tVSa7S1GhH7v-5BQaj9gR8"},
    "SessionRead": {
        "id": "01a20544-8e89-740b-ba0e-523ec97aa0ff",
        "user_agent": "Mozilla/5.0",
        "created_at": "2026-01-02T03:04:05.678901Z",
        "last_used_at": "2026-01-02T03:04:05.678901Z",
        "expires_at": "2026-02-01T03:04:05.678901Z",
        "is_current": True,
    },
    "SignUp": _CREDENTIALS,
    "TokenPair": {
        "access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.yJOCZ3eB6U3GXnNOMSx",
        "token_type": "bearer",
        "expires_in": 900,
        "refresh_token": "01a205448e89740bba0e523ec97aa0ff.1.sJxNu0nr35EIcIeS5tVSa7S1GhH7v-5BQaj9gR8",
    },
    "WebhookCreate": {"url": "https://example.com/hook", "events": ["post.created"]},
    "WebhookCreated": _WEBHOOK | {"secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDazfjCqwmOoA="},
    "WebhookDeliveryRead": {
        "postID": _POST_ID,
        "version": 17,
        "type": "post.created",
        "status": "delivered",
        "attempts": 1,
        "created_at": "2026-01-02T03:04:05.678901Z",
        "attempted_at": "2026-01-02T03:04:05.878901Z",
        "response_status": 200,
        "response_excerpt": "ok",
    },
    "WebhookRead": _WEBHOOK,
    "UserRead": {
        "user_id": "01a20544-8e83-7706-bb25-d8126e32ef52",
        "email": "ada@example.com",
        "created_at": "2026-01-02T03:04:05.678901Z",
        "post_count": 1,
    },
}
"""An example of each body, by the name of its schema."""


def problems(*kinds: type[DomainError] | int, **descriptions: str) -> dict[int, ResponseSpec]:
    """Return the problem documents that a route answers with, for its `responses`.

    Each is an error, or the status of the usual one. It is described as everywhere, or as the keyword `on_<status>`
    says.
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
