"""How numbers are written in queries and headers."""

import re
from typing import Any

from litestar import Request
from litestar.enums import ParamType
from litestar.exceptions import ValidationException

_QUERIES = {"limit", "cursor", "after"}
_HEADER = "Last-Event-ID"
_DIGITS = re.compile("[0-9]+")


async def check_numbers(request: Request[Any, Any, Any]) -> None:
    """Refuse numbers that are not written in digits alone; Litestar reads `1e2` as 100, and `null` as none given.

    Raises:
        ValidationException: It names each of them.
    """
    sent = [(ParamType.QUERY, name, value) for name, value in request.query_params.multi_items() if name in _QUERIES]
    sent.append((ParamType.HEADER, _HEADER, request.headers.get(_HEADER, "0")))
    wrong = [(source, name) for source, name, value in sent if not _DIGITS.fullmatch(value)]
    if wrong:
        raise ValidationException(
            extra=[{"source": source, "key": name, "message": "Expected digits"} for source, name in wrong]
        )
