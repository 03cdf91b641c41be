"""Errors as problem documents (RFC 9457)."""

import logging
import re
from collections.abc import Iterable
from http import HTTPStatus
from itertools import islice
from typing import Any

from litestar import Request, Response
from litestar.enums import ParamType
from litestar.exceptions import HTTPException, NotAuthorizedException, ValidationException
from litestar.plugins.problem_details import ProblemDetailsConfig, ProblemDetailsException, ProblemDetailsPlugin
from msgspec import Struct

from app.database import faults
from app.errors import DomainError, InvalidRequest, Unauthenticated
from models.text import WITHOUT_NUL

logger = logging.getLogger(__name__)

PROBLEM_MEDIA_TYPE = "application/problem+json"
BLANK = "about:blank"

# Python's own phrase for 413 changed in 3.13; this is RFC 9110's. 499 is only counted, never sent.
_TITLES = {413: "Content Too Large", 499: "Client Closed Request"}

_MAX_ERRORS = 100

_UNKNOWN_FIELD = "Extra inputs are not permitted"
_PLAIN_MESSAGES = {
    f"String should match pattern '{WITHOUT_NUL}'": "The character NUL is not permitted",
    "Expected `int | null`, got `str`": "Expected a whole number without leading zeros",
}

_DETAILS = {
    404: "There is nothing at this address.",
    405: "This address does not take this method; see the header Allow.",
    413: "The body is larger than 1,048,576 bytes.",
}


class FieldError(Struct):
    """What is wrong with one field of the request."""

    field: str
    message: str


class Problem(Struct, omit_defaults=True):
    """The body of every error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


def create_problem_plugin() -> ProblemDetailsPlugin:
    """Return the plugin that turns every exception into a problem document."""
    return ProblemDetailsPlugin(
        ProblemDetailsConfig(
            exception_to_problem_detail_map={
                DomainError: _of_domain_error,
                ValidationException: _of_validation_error,
                HTTPException: _of_http_error,
                **dict.fromkeys(faults.UNAVAILABLE, _of_unavailable_database),
                faults.POOL_EXHAUSTED: _of_busy_database,
                Exception: _of_unexpected_error,
            }
        )
    )


def problem_type(kind: type[DomainError]) -> str:
    """Return the `type` of an error's problem documents."""
    slug = "".join(f"-{c.lower()}" if c.isupper() else c for c in kind.__name__).lstrip("-")
    return f"urn:problem-type:postline:{slug}"


def status_title(status: int) -> str:
    """Return the `title` of a problem document that has no type of its own."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


def not_found(request: Request[Any, Any, Any], _: Exception) -> Response[Any]:
    """Answer any exception with 404."""
    return _problem(404, _DETAILS[404]).to_response(request)


def _of_domain_error(error: DomainError) -> ProblemDetailsException:
    headers = dict(error.headers)
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    errors = error.errors if isinstance(error, InvalidRequest) else None
    return _problem(
        error.status,
        str(error),
        title=error.title,
        type_=problem_type(type(error)),
        errors=errors,
        headers=headers,
    )


def _of_validation_error(error: ValidationException) -> ProblemDetailsException:
    entries = error.extra if isinstance(error.extra, list) else []
    return _of_domain_error(
        InvalidRequest("The request has invalid fields.", list(islice(_field_errors(entries), _MAX_ERRORS)))
    )


def _of_http_error(error: HTTPException) -> ProblemDetailsException:
    if isinstance(error, NotAuthorizedException):
        # The same answer for every fault of a token.
        return _of_domain_error(Unauthenticated("Send Authorization: Bearer with a valid access token."))
    return _problem(error.status_code, _DETAILS.get(error.status_code, error.detail), headers=error.headers)


def _of_unavailable_database(error: Exception) -> ProblemDetailsException:
    logger.error("the database can't be used: %s", faults.code(error))
    return _problem(503, "The database can't be used at the moment; try again.", headers={"Retry-After": "2"})


def _of_busy_database(_: Exception) -> ProblemDetailsException:
    logger.error("no connection to the database came free in time")
    return _problem(503, "The service is busy; try again.", headers={"Retry-After": "2"})


def _of_unexpected_error(error: Exception) -> ProblemDetailsException:
    logger.error("a request failed", exc_info=error)
    return _problem(500, "The request failed for a reason on the server's side.")


def _problem(
    status: int,
    detail: str,
    *,
    title: str | None = None,
    type_: str = BLANK,
    errors: list[dict[str, str]] | None = None,
    headers: dict[str, str] | None = None,
) -> ProblemDetailsException:
    return ProblemDetailsException(
        detail=detail,
        status_code=status,
        title=title or status_title(status),
        type_=type_,
        extra={"errors": errors} if errors else None,
        headers=headers,
    )


def _field_errors(entries: Iterable[Any]) -> Iterable[dict[str, str]]:
    """Yield each field and what is wrong with it, never its value, which may be a password or a post."""
    for entry in entries:
        field = entry.get("key", "data")
        message = entry["message"].removeprefix("Value error, ")
        # Litestar reports errors of the whole body as `data`, which may be the name of a field too.
        if field == "data" and message != _UNKNOWN_FIELD:
            yield {"field": "body", "message": "A JSON object is required"}
            continue
        if entry.get("source") == ParamType.HEADER:
            # The parameter's Python name, turned back into the header's.
            field = re.sub(r"\bId\b", "ID", field.replace("_", "-").title())
        yield {"field": field, "message": _PLAIN_MESSAGES.get(message, message)}
