"""How a request's body is read."""

from typing import Any

from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import SerializationException
from litestar.serialization import decode_json

from app.errors import InvalidRequest, UnsupportedMediaType


class JSONRequest(Request[Any, Any, State]):
    """A request whose body, if it has one, is JSON and says so."""

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
