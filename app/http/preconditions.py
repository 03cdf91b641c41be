"""Preconditions of requests (RFC 9110, section 13): `If-Match`, `If-None-Match` and, for files, dates."""

from collections.abc import Container
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from litestar.datastructures import Headers
from litestar.types import ASGIApp, Message, Receive, ReceiveMessage, Scope, Send
from typing_extensions import override

from app.errors import PreconditionFailed
from app.http.etags import matches_any, matches_strongly
from app.http.problems import send_problem

_IF_MATCH, _IF_NONE_MATCH = b"if-match", b"if-none-match"
_IF_UNMODIFIED_SINCE, _IF_MODIFIED_SINCE = b"if-unmodified-since", b"if-modified-since"
_NAMES = {_IF_MATCH, _IF_NONE_MATCH, _IF_UNMODIFIED_SINCE, _IF_MODIFIED_SINCE}


class Preconditions(Container[int]):
    """What a request demands of the current representation.

    As a container it holds the versions for which a change may be made.
    """

    def __init__(self, lines: list[tuple[bytes, bytes]]) -> None:
        self._lines = lines

    @classmethod
    def of(cls, scope: Scope) -> "Preconditions | None":
        """Return the request's preconditions, or `None` if it has none."""
        lines = [line for line in scope["headers"] if line[0] in _NAMES]
        return cls(lines) if lines else None

    @override
    def __contains__(self, version: object) -> bool:
        current = f'"{version}"'
        if_match, if_none_match = self._tags(_IF_MATCH), self._tags(_IF_NONE_MATCH)
        return (if_match is None or matches_strongly(if_match, current)) and not matches_any(if_none_match, current)

    def status_of_read(self, current: str, modified: str | None = None) -> HTTPStatus:
        """Return 200, 304 or 412 for a read of a representation with this `ETag` and `Last-Modified`.

        The order is that of section 13.2.2.
        """
        if_match, if_none_match = self._tags(_IF_MATCH), self._tags(_IF_NONE_MATCH)
        if if_match is not None:
            if not matches_strongly(if_match, current):
                return HTTPStatus.PRECONDITION_FAILED
        elif self._is_newer(modified, _IF_UNMODIFIED_SINCE) is True:
            return HTTPStatus.PRECONDITION_FAILED
        if if_none_match is not None:
            is_known = matches_any(if_none_match, current)
        else:
            is_known = self._is_newer(modified, _IF_MODIFIED_SINCE) is False
        return HTTPStatus.NOT_MODIFIED if is_known else HTTPStatus.OK

    def _tags(self, name: bytes) -> str | None:
        lines = [value for found, value in self._lines if found == name]
        return b", ".join(lines).decode("latin-1") if lines else None

    def _is_newer(self, modified: str | None, name: bytes) -> bool | None:
        """Return whether it was modified after the header's date; `None` if either date is missing or malformed."""
        dates = [value.decode("latin-1") for found, value in self._lines if found == name]
        if modified is None or len(dates) != 1:
            return None
        since, last = _date(dates[0]), _date(modified)
        return None if since is None or last is None else last > since


class ConditionalAnswer:
    """Sends an answer as the preconditions demand: a 200 with an `ETag` may become a 304 or a 412.

    To the handler it then looks as if the client had left, so that nothing more is read.
    """

    def __init__(self, preconditions: Preconditions, scope: Scope, receive: Receive, send: Send) -> None:
        self._preconditions = preconditions
        self._scope = scope
        self._receive = receive
        self._send = send
        self._is_answered = False

    async def receive(self) -> ReceiveMessage:
        """Return the next message of the client."""
        return {"type": "http.disconnect"} if self._is_answered else await self._receive()

    async def send(self, message: Message) -> None:
        """Send a message of the answer, or what stands for it."""
        if self._is_answered:
            return
        if message["type"] == "http.response.start" and message["status"] == HTTPStatus.OK:
            headers = Headers(message["headers"])
            current = headers.get("etag")
            if current is not None:
                status = self._preconditions.status_of_read(current, headers.get("last-modified"))
                self._is_answered = status is not HTTPStatus.OK
                if status is HTTPStatus.PRECONDITION_FAILED:
                    await send_precondition_failed(current, self._scope, self._receive, self._send)
                    return
                if status is HTTPStatus.NOT_MODIFIED:
                    kept = [line for line in message["headers"] if not line[0].startswith(b"content-")]
                    await self._send({**message, "status": status, "headers": kept})
                    await self._send({"type": "http.response.body", "body": b"", "more_body": False})
                    return
        await self._send(message)


class ConditionalReads:
    """Honours the preconditions of reads. Litestar sends an `ETag` with files, but does not compare it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        preconditions = Preconditions.of(scope)
        if preconditions is None:
            await self._app(scope, receive, send)
        else:
            answer = ConditionalAnswer(preconditions, scope, receive, send)
            await self._app(scope, answer.receive, answer.send)


async def send_precondition_failed(current: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer that a precondition does not hold for the representation with this `ETag`."""
    await send_problem(PreconditionFailed(f"The current ETag is {current}."), scope, receive, send)


def _date(value: str) -> datetime | None:
    try:
        return parsedate_to_datetime(value)
    except ValueError:
        return None
