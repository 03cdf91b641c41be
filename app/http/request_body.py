"""How a request's body is read."""

from typing import Any

from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import HTTPException, InternalServerException, SerializationException
from litestar.serialization import decode_json

from app.errors import InvalidRequest, UnsupportedMediaType

_CLIENT_LEFT = 499


class JSONRequest(Request[Any, Any, State]):
    """A request whose body, if it has one, is JSON and says so."""

    async def body(self) -> bytes:
        """Return the body.

        Raises:
            HTTPException: The client left before it had sent all. Nobody receives the answer, but its status is
                counted, and Litestar's own would be that of an error of the service.
        """
        try:
            return await super().body()
        except InternalServerException:
            raise HTTPException("The client left first.", status_code=_CLIENT_LEFT) from None

    async def json(self) -> Any:
        """Return the decoded body.

        Raises:
            UnsupportedMediaType: `Content-Type` names something other than JSON.
            InvalidRequest: The body is no JSON, or is no UTF-8 text.
        """
        media_type = self.content_type[0]
        if media_type and media_type != "application/json":
            raise UnsupportedMediaType("Send the body as JSON, with the header Content-Type: application/json.")
        try:
            return decode_json(await self.body())
        except (SerializationException, UnicodeDecodeError, RecursionError):
            raise InvalidRequest("The body is not valid JSON in UTF-8.") from None
