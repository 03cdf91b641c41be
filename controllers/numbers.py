"""Numbers in queries and headers."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Request
from litestar.enums import ParamType
from litestar.exceptions import ValidationException

_DIGITS = re.compile("[0-9]+")


def digits_only(*queries: str, header: str | None = None) -> Callable[[Request[Any, Any, Any]], Awaitable[None]]:
    """Return a `before_request` hook that refuses a request if one of these parameters is not written in digits only.

    Litestar would read `1e2` as 100, and `null` as a missing parameter. Name only parameters of the route: a cache hit
    skips this check, and the cache key ignores all other parameters.
    """

    async def check(request: Request[Any, Any, Any]) -> None:
        sent = [(ParamType.QUERY, name, value) for name, value in request.query_params.multi_items() if name in queries]
        if header is not None and header in request.headers:
            sent.append((ParamType.HEADER, header, request.headers[header]))
        wrong = [(source, name) for source, name, value in sent if not _DIGITS.fullmatch(value)]
        if wrong:
            raise ValidationException(
                extra=[{"source": source, "key": name, "message": "Expected digits"} for source, name in wrong]
            )

    return check
