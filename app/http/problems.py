"""Errors as problem documents (RFC 9457)."""

import logging
import re
from collections.abc import Iterable
from http import HTTPStatus
from itertools import islice
from typing import Any, Literal

from litestar import Request, Response
from litestar.enums import ParamType
from litestar.exceptions import HTTPException, NotAuthorizedException, ValidationException
from litestar.plugins.problem_details import ProblemDetailsConfig, ProblemDetailsException, ProblemDetailsPlugin
from litestar.types import Receive, Scope, Send
from msgspec import UNSET, Struct, UnsetType

from app.database import faults
from app.errors import DomainError, InvalidRequest, SessionEnd, Unauthenticated
from models.text import WITHOUT_NUL

logger = logging.getLogger(__name__)

PROBLEM_MEDIA_TYPE = "application/problem+json"
BLANK = "about:blank"

# Python's own phrases for 413 and 414 changed in 3.13; these are RFC 9110's. 499 is only counted, never sent.
_TITLES = {413: "Content Too Large", 414: "URI Too Long", 499: "Client Closed Request"}

_MAX_ERRORS = 10
_MAX_FIELD_LENGTH = 100
_MAX_MESSAGE_LENGTH = 200

_UNKNOWN_FIELD = "Extra inputs are not permitted"
_PLAIN_MESSAGES = {
    f"String should match pattern '{WITHOUT_NUL}'": "The character NUL is not permitted",
    f"Expected `str` matching regex {WITHOUT_NUL!r}": "The character NUL is not permitted",
    "Expected `int | null`, got `str`": "Expected a whole number without leading zeros",
}
# Pydantic's messages about the tag of a union, one of which quotes the value.
_ABOUT_TAGS = ("Input tag '", "Unable to extract tag ")
# Of an operation of a batch, Pydantic's location has the index and, if it is a known one, the kind.
_OPERATION = re.compile(r"^operations\.([0-9]+)(?:\.(?:create|update|delete)(?=\.|$))?")

_UNAVAILABLE = "The database can't be used at the moment; try again."

_DETAILS = {
    404: "There is nothing at this address.",
    405: "This address does not take this method; see the header Allow.",
    414: "The address has more than 8,000 characters or 100 parameters.",
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
    quota: Literal["posts", "bytes", "webhooks"] | None = None
    limit: int | None = None
    used: int | None = None
    version: int = 0
    reason: SessionEnd | None = None


class ImportProblem(Problem, omit_defaults=True):
    """The body of an import's errors: the invalid line, from 1, and how many posts were added and skipped before."""

    line: int | UnsetType = UNSET
    created: int | UnsetType = UNSET
    skipped: int | UnsetType = UNSET


def create_problem_plugin() -> ProblemDetailsPlugin:
    """Return the plugin that turns every exception into a problem document."""
    return ProblemDetailsPlugin(
        ProblemDetailsConfig(
            exception_to_problem_detail_map={
                DomainError: _of_domain_error,
                ValidationException: _of_validation_error,
                HTTPException: _of_http_error,
                **dict.fromkeys(faults.UNAVAILABLE, _of_unavailable_database),
                faults.DAMAGED: _of_database_error,
                faults.FileReplaced: _of_replaced_file,
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


def target_too_long(request: Request[Any, Any, Any]) -> Response[Any]:
    """Answer a request whose path or query is too long with 414."""
    return _problem(414, _DETAILS[414]).to_response(request)


async def send_problem(error: DomainError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with an error, from a middleware that can no longer raise it."""
    request = Request[Any, Any, Any](scope, receive, send)
    response = _of_domain_error(error).to_response(request)
    await response.to_asgi_response(app=None, request=request)(scope, receive, send)


def _of_domain_error(error: DomainError) -> ProblemDetailsException:
    headers = dict(error.headers)
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return _problem(
        error.status,
        str(error),
        title=error.title,
        type_=problem_type(type(error)),
        members=error.members,
        headers=headers,
    )


def _of_validation_error(error: ValidationException) -> ProblemDetailsException:
    entries = error.extra if isinstance(error.extra, list) else []
    return _of_domain_error(
        InvalidRequest("The request has invalid fields.", list(islice(_field_errors(entries), _MAX_ERRORS)))
    )


def _of_http_error(error: HTTPException) -> ProblemDetailsException:
    if isinstance(error, NotAuthorizedException):
        # The same answer for every fault of a token; what ended a genuine token's session is no fault of it.
        return _of_domain_error(Unauthenticated("Send Authorization: Bearer with a valid access token."))
    return _problem(error.status_code, _DETAILS.get(error.status_code, error.detail), headers=error.headers)


def _of_unavailable_database(error: Exception) -> ProblemDetailsException:
    logger.error("the database can't be used: %s", faults.code(error))
    return _problem(503, _UNAVAILABLE, headers={"Retry-After": "2"})


def _of_database_error(error: Exception) -> ProblemDetailsException:
    return _of_unavailable_database(error) if type(error) is faults.DAMAGED else _of_unexpected_error(error)


def _of_replaced_file(_: Exception) -> ProblemDetailsException:
    # It is logged when it is noticed.
    return _problem(503, _UNAVAILABLE, headers={"Retry-After": "2"})


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
    members: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> ProblemDetailsException:
    return ProblemDetailsException(
        detail=detail,
        status_code=status,
        title=title or status_title(status),
        type_=type_,
        extra=members,
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
        if message.startswith(_ABOUT_TAGS):
            message = "An op is required that is one of create, update and delete"
        field = _OPERATION.sub(r"operations[\1]", field)
        yield {
            "field": _shortened(field, _MAX_FIELD_LENGTH),
            "message": _shortened(_PLAIN_MESSAGES.get(message, message), _MAX_MESSAGE_LENGTH),
        }


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
