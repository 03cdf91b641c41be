"""Reads request bodies."""

from typing import Any

from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import HTTPException, InternalServerException, SerializationException
from litestar.serialization import decode_json

from app.errors import InvalidRequest, UnsupportedMediaType

_CLIENT_DISCONNECTED = 499


class JSONRequest(Request[Any, Any, State]):
    """A request whose body, if any, must be JSON and declared as JSON."""

    async def body(self) -> bytes:
        """Return the body.

        Raises:
            HTTPException: The client disconnected before the body was complete. The status is 499, for metrics only;
                Litestar's own would count as an error of the service.
        """
        try:
            return await super().body()
        except InternalServerException:
            raise HTTPException("The client left first.", status_code=_CLIENT_DISCONNECTED) from None

    async def json(self) -> Any:
        """Return the decoded body.

        Raises:
            UnsupportedMediaType: `Content-Type` is not JSON.
            InvalidRequest: The body is not JSON, or not UTF-8.
        """
        media_type = self.content_type[0]
        if media_type and media_type != "application/json":
            raise UnsupportedMediaType("Send the body as JSON, with the header Content-Type: application/json.")
        try:
            return decode_json(await self.body())
        except (SerializationException, UnicodeDecodeError, RecursionError):
            raise InvalidRequest("The body is not valid JSON in UTF-8.") from None
