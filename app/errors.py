"""The errors of the use cases, each with its HTTP status."""

from typing import Any, ClassVar, Literal

SessionEnd = Literal["session-ended", "account-disabled", "account-erased"]
"""What ends a session before its time. Whatever else does counts as `session-ended`."""


class ConfigurationError(Exception):
    """The service can't run with these settings. The message is one line for the operator."""


class DomainError(Exception):
    """A use case failed for a reason that the client should know.

    `status` is the HTTP status of the answer. `title` names the kind of problem and never varies; the message may.
    `members` are further members of the problem document (RFC 9457, section 3.2).
    """

    status: ClassVar[int]
    title: ClassVar[str]

    def __init__(self, detail: str | None = None, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail or self.title)
        self.headers = headers or {}
        self.members: dict[str, Any] = {}


class InvalidRequest(DomainError):
    """The body is not valid for its media type, or a field or parameter is invalid."""

    status = 400
    title = "Invalid request"

    def __init__(self, detail: str, errors: list[dict[str, str]] | None = None) -> None:
        super().__init__(detail)
        if errors:
            self.members["errors"] = errors


class InvalidToken(DomainError):
    """The mailed token is expired, used, superseded, forged, or for another purpose. The answer does not say which."""

    status = 400
    title = "Token is not valid"

    def __init__(self) -> None:
        super().__init__("This link is not valid any more. Ask for a new one.")


class InvalidImport(DomainError):
    """A line of an import is no line of an export, or the export is cut or was changed.

    `line` is the number of the line, from 1.
    """

    status = 400
    title = "Import is not valid"

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"Line {line}: {reason}.")
        self.members["line"] = line


class InvalidCredentials(DomainError):
    """The email is unknown or the password wrong. The answer does not say which."""

    status = 401
    title = "Email or password is wrong"


class Unauthenticated(DomainError):
    """The request carries no token that opens a live session.

    `reason` says what ended the session of an access token that is genuine and has not expired. Nobody else learns it.
    """

    status = 401
    title = "Authentication required"

    def __init__(self, detail: str | None = None, *, reason: SessionEnd | None = None) -> None:
        super().__init__(detail)
        if reason:
            self.members["reason"] = reason


class WrongPassword(DomainError):
    """The password that confirms a change of the account is not the user's."""

    status = 403
    title = "Password is wrong"


class SignUpClosed(DomainError):
    """The service takes no new accounts."""

    status = 403
    title = "Sign-up is closed"

    def __init__(self) -> None:
        super().__init__("This service takes no new accounts.")


class InvalidInvite(DomainError):
    """Sign-up takes an invitation, and this one is missing, unknown, used, expired, revoked, or for another address.

    The answer does not say which.
    """

    status = 403
    title = "Invitation is not valid"

    def __init__(self) -> None:
        super().__init__("This invitation is not valid. Ask the people who run this service for one.")


class QuotaExceeded(DomainError):
    """The user keeps as much as one user may. `quota` says of what: posts, bytes of text, or webhooks."""

    status = 403
    title = "Quota is exceeded"

    def __init__(self, quota: str, limit: int, used: int) -> None:
        kept = "bytes of text" if quota == "bytes" else quota
        super().__init__(f"You have {used:,} of at most {limit:,} {kept}. Delete some first.")
        self.quota, self.limit, self.used = quota, limit, used
        self.members |= {"quota": quota, "limit": limit, "used": used}


class InsufficientScope(DomainError):
    """The personal token lacks the scope that the route needs, or no personal token opens the route (RFC 6750)."""

    status = 403
    title = "Insufficient scope"

    def __init__(self, scope: str | None) -> None:
        """Take the scope that is needed, or `None` if the route takes no personal token."""
        challenge = 'Bearer error="insufficient_scope"'
        super().__init__(
            f"This needs a personal token with the scope {scope}." if scope else "This needs a log-in.",
            headers={"WWW-Authenticate": f'{challenge}, scope="{scope}"' if scope else challenge},
        )


class NotFound(DomainError):
    """The object does not exist, or not for this user."""

    status = 404
    title = "Not found"


class TooSlow(DomainError):
    """The body of a request arrives too slowly."""

    status = 408
    title = "Request is too slow"


class EmailTaken(DomainError):
    """Another account has this address."""

    status = 409
    title = "Email is taken"


class TooManyTokens(DomainError):
    """The user has as many personal tokens as one user may have."""

    status = 409
    title = "Too many personal tokens"


class TooManyWebhooks(QuotaExceeded):
    """The owner has as many webhooks as one user may have, and nobody has set how many that is."""

    status = 409
    title = "Too many webhooks"


class HistoryNotKept(DomainError):
    """The changes after the requested version are not kept, or the timeline has not come as far, as after a restore.

    `version` is the timeline's current one.
    """

    status = 410
    title = "History is not kept"

    def __init__(self, version: int) -> None:
        super().__init__("The changes after that version are not kept. Read the list, and go on from its version.")
        self.version = version
        self.members["version"] = version


class PreconditionFailed(DomainError):
    """`If-Match` or `If-None-Match` does not hold for the current state (RFC 9110, section 13.1)."""

    status = 412
    title = "Precondition failed"


class BodyTooLarge(DomainError):
    """The body of a route that reads it as it arrives has more bytes than it may have."""

    status = 413
    title = "Body is too large"


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


class SearchTimedOut(DomainError):
    """A search for all matches at once did not come to its end in time. A retry would hardly do better."""

    status = 503
    title = "Search took too long"

    def __init__(self) -> None:
        super().__init__("There are too many posts to search them all at once. Add a limit, and follow the links.")


class Deadlocked(DomainError):
    """The transaction lost a deadlock: the database rolled it back so that another could go on."""

    status = 503
    title = "Conflicting changes"

    def __init__(self) -> None:
        super().__init__("Another change was in the way. Try again.", headers={"Retry-After": "1"})


class NotReady(DomainError):
    """The service runs but can't serve: its database can't be used or is not migrated, or metrics can't be read."""

    status = 503
    title = "Not ready"


class MailNotConfigured(DomainError):
    """The service has no mail server, so it can't send what was asked for."""

    status = 503
    title = "Mail is not configured"
