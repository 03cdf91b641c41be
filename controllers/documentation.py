"""Errors and headers in the OpenAPI document, described once for all routes."""

from collections.abc import Mapping
from typing import Any

from litestar.datastructures import ResponseHeader
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example

from app.errors import (
    BodyTooLarge,
    DomainError,
    EmailTaken,
    HistoryNotKept,
    IdempotencyKeyReused,
    InsufficientScope,
    InvalidCredentials,
    InvalidImport,
    InvalidInvite,
    InvalidRequest,
    InvalidToken,
    MailNotConfigured,
    NotFound,
    PreconditionFailed,
    QuotaExceeded,
    TooManyRequests,
    TooManyTokens,
    TooManyWebhooks,
    TooSlow,
    Unauthenticated,
    UnsupportedMediaType,
    WrongPassword,
)
from app.http.problems import BLANK, PROBLEM_MEDIA_TYPE, Problem, problem_type, status_title
from app.http.request_body import MAX_FORM_BYTES, too_large

BEARER = [{"bearer": list[str]()}]
OPTIONAL_BEARER = [{}, *BEARER]


def described(description: str, **schema: Any) -> dict[str, Any]:
    """Return the documentation of a header. Its type is a string unless `schema` says otherwise."""
    return {"description": description, "schema": {"type": "string"} | schema}


_PROBLEMS: dict[type[DomainError] | int, str] = {
    InvalidRequest: "The request is malformed or has invalid fields.",
    InvalidImport: "A line is invalid, or the export is cut or was changed. `line` is the number of the line, from 1.",
    InvalidToken: "The token is not valid, or not any more.",
    Unauthenticated: (
        "The token is missing, malformed, expired or revoked, or its session has ended; `reason` says what ended the "
        "session of a genuine access token that has not expired."
    ),
    InvalidCredentials: "The address is unknown or the password wrong.",
    WrongPassword: "The password that confirms the request is wrong.",
    InvalidInvite: (
        "Sign-up takes invitations, and this one is missing, unknown, used, expired, revoked or for another address "
        "(`invalid-invite` does not say which), or the service takes no new accounts (`sign-up-closed`)."
    ),
    QuotaExceeded: "The user has as much as one user may have; `quota`, `limit` and `used` say of what, and how much.",
    InsufficientScope: "The request carries a personal token that may not do this.",
    NotFound: "There is no such object, or it is someone else's.",
    TooSlow: "The body arrives too slowly.",
    EmailTaken: "The address belongs to another account.",
    TooManyTokens: "The user already has the maximum number of personal tokens.",
    TooManyWebhooks: "The user already has the maximum number of webhooks.",
    HistoryNotKept: "The changes after that version are not kept, or there is none such; `version` is the current one.",
    PreconditionFailed: "`If-Match` does not name the current version, or `If-None-Match` does.",
    BodyTooLarge: "The body is larger than the operator allows (`IMPORT_MAX_BYTES`).",
    413: too_large(MAX_FORM_BYTES),
    UnsupportedMediaType: "The body is not declared as JSON, or has a `Content-Encoding`.",
    IdempotencyKeyReused: "The `Idempotency-Key` was used before, with another body.",
    TooManyRequests: "A limit or a fair share is used up; try again after `Retry-After` seconds.",
    MailNotConfigured: "The service can't send mail (`mail-not-configured`), or can't answer now.",
    503: "The service can't answer now; try again after `Retry-After` seconds.",
}

PROBLEM_NAMES = {
    text: status_title(kind).replace(" ", "") if isinstance(kind, int) else kind.__name__
    for kind, text in _PROBLEMS.items()
}
"""The names of the responses that routes share, by their descriptions."""

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
    403: {
        "WWW-Authenticate": described(
            '`Bearer error="insufficient_scope"`, where a personal token is refused, with the `scope` that it needs if '
            "there is one (RFC 6750, section 3.1)."
        )
    },
    415: {
        "Accept-Encoding": described("`identity`, if the body had a `Content-Encoding` (RFC 9110, section 12.5.3)."),
        "Accept-Patch": described("The media types that PATCH takes, in an answer to it (RFC 5789, section 3.1)."),
    },
    429: {
        "Retry-After": described("Seconds to wait.", type="integer", minimum=1),
        "RateLimit": described("The rate limit that is used up, and the seconds until it resets."),
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
