"""The errors of the use cases, each with its HTTP status."""

from typing import ClassVar


class ConfigurationError(Exception):
    """The service can't run with these settings. The message is one line for the operator."""


class DomainError(Exception):
    """A use case failed for a reason that the client should know.

    `status` is the HTTP status of the answer. `title` names the kind of problem and never varies; the message may.
    """

    status: ClassVar[int]
    title: ClassVar[str]

    def __init__(self, detail: str | None = None, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail or self.title)
        self.headers = headers or {}


class InvalidRequest(DomainError):
    """The body is not valid for its media type, or a field or parameter is invalid."""

    status = 400
    title = "Invalid request"

    def __init__(self, detail: str, errors: list[dict[str, str]] | None = None) -> None:
        super().__init__(detail)
        self.errors = errors or []


class InvalidCredentials(DomainError):
    """The email is unknown or the password wrong. The answer does not say which."""

    status = 401
    title = "Email or password is wrong"


class Unauthenticated(DomainError):
    """The request carries no token that opens a live session."""

    status = 401
    title = "Authentication required"


class WrongPassword(DomainError):
    """The password that confirms a change of the account is not the user's."""

    status = 403
    title = "Password is wrong"


class NotFound(DomainError):
    """The object does not exist, or not for this user."""

    status = 404
    title = "Not found"


class EmailTaken(DomainError):
    """Another account has this address."""

    status = 409
    title = "Email is taken"


class TooManyWebhooks(DomainError):
    """The owner has as many webhooks as one user may have."""

    status = 409
    title = "Too many webhooks"


class PreconditionFailed(DomainError):
    """`If-Match` names none of the states the object is in (RFC 9110, section 13.1.1)."""

    status = 412
    title = "Precondition failed"


class UnsupportedMediaType(DomainError):
    """The body is of a type that this service does not read."""

    status = 415
    title = "Unsupported media type"


class IdempotencyKeyReused(DomainError):
    """The `Idempotency-Key` was used before, with another body."""

    status = 422
    title = "Idempotency key is reused"


class TooManyRequests(DomainError):
    """A limit is used up until `Retry-After` seconds have passed."""

    status = 429
    title = "Too many requests"


class Overloaded(DomainError):
    """Too many requests wait for the same resource. Try again after `Retry-After` seconds."""

    status = 503
    title = "Service is overloaded"


class Deadlocked(DomainError):
    """The transaction lost a deadlock: the database rolled it back so that another could go on."""

    status = 503
    title = "Conflicting changes"

    def __init__(self) -> None:
        super().__init__("Another change was in the way. Try again.", headers={"Retry-After": "1"})


class NotReady(DomainError):
    """The service runs but can't serve: its database can't be used, or is not migrated."""

    status = 503
    title = "Not ready"
