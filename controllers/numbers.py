"""Numbers in queries."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Request
from litestar.enums import ParamType
from litestar.exceptions import ValidationException

_DIGITS = re.compile("[0-9]+")


def digits_only(*queries: str, required: str | None = None) -> Callable[[Request[Any, Any, Any]], Awaitable[None]]:
    """Return a `before_request` hook that refuses a request if one of these parameters is not written in digits only.

    Litestar would read `1e2` as 100, and `null` as a missing parameter, and would not say which required one is
    missing. Name only parameters of the route: a cache hit skips this check, and the cache key ignores all others.
    """

    async def check(request: Request[Any, Any, Any]) -> None:
        sent = [(name, value) for name, value in request.query_params.multi_items() if name in queries]
        if required is not None and required not in request.query_params:
            sent.append((required, ""))
        wrong = [name for name, value in sent if not _DIGITS.fullmatch(value)]
        if wrong:
            raise ValidationException(
                extra=[{"source": ParamType.QUERY, "key": name, "message": "Expected digits"} for name in wrong]
            )

    return check
