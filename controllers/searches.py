"""What a list is searched by: `q`, `created_after` and `created_before`."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NoReturn
from urllib.parse import unquote_to_bytes, urlencode

from litestar import Request
from litestar.enums import ParamType
from litestar.exceptions import ValidationException
from litestar.params import QueryParameter

from app.storage.searches import Criteria
from models.text import WITHOUT_NUL

SearchText = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=256,
        pattern=WITHOUT_NUL,
        description="Only posts with this text anywhere in them, whatever the case: `strasse` finds `Straße`.",
    ),
]
CreatedAfter = Annotated[
    str | None,
    QueryParameter(
        schema_extra={"format": "date-time"},
        description="Only posts created later than this time (RFC 3339), such as `2026-01-02T03:04:05Z`.",
    ),
]
CreatedBefore = Annotated[
    str | None,
    QueryParameter(
        schema_extra={"format": "date-time"},
        description="Only posts created earlier than this time (RFC 3339), such as `2026-01-02T03:04:05Z`.",
    ),
]

# RFC 3339, section 5.6. In a query, a `+` that was not percent-encoded is a space, which nothing else here could be.
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ]([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(?:\.(\d+))?"
    r"(?:[Zz]|([+ -])([01]\d|2[0-3]):([0-5]\d))",
    re.ASCII,
)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_REPLACEMENT = "\ufffd"


def criteria_of(
    request: Request[Any, Any, Any], q: str | None, created_after: str | None, created_before: str | None
) -> Criteria | None:
    """Return what the list is searched by, or `None` if all posts are wanted.

    Raises:
        ValidationException: A parameter is not valid.
    """
    if q is None and created_after is None and created_before is None:
        return None
    if q is not None and _REPLACEMENT in q and not _is_utf8(request.scope["query_string"]):
        _refuse("q", "Expected UTF-8")
    return Criteria(
        text=q,
        created_after=_time("created_after", created_after),
        created_before=_time("created_before", created_before),
    )


def next_link(request: Request[Any, Any, Any], cursor: int) -> str:
    """Return the value of `Link` that leads from a page to the one that begins below the cursor."""
    # The last of each name, because it is the one that counts.
    sent = {name: value for name, value in request.query_params.multi_items() if name in _NAMES}
    return f'</posts?{urlencode(sent | {"cursor": cursor})}>; rel="next"'


def parse_time(text: str) -> datetime:
    """Return the time that is written as in RFC 3339, in UTC and to the microsecond.

    A time that is out of Python's reach is the first or the last one that is not. A leap second is the one after it.

    Raises:
        ValueError: It is not written so, or has no such date.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError
    date, hour, minute, second, fraction, sign, offset_hours, offset_minutes = found.groups()
    if date.startswith("0000"):
        # Python has no such year. It was a leap year, as 2000 was.
        datetime.fromisoformat(f"2000{date[4:]}")
        return _FIRST
    microseconds = int(f"{fraction or '':0<6.6}")
    since_midnight = timedelta(hours=int(hour), minutes=int(minute), seconds=int(second), microseconds=microseconds)
    offset = timedelta(hours=int(offset_hours or 0), minutes=int(offset_minutes or 0))
    day = datetime.fromisoformat(date).replace(tzinfo=UTC)
    try:
        return day + since_midnight + (offset if sign == "-" else -offset)
    except OverflowError:
        return _LAST if day.year > 1 else _FIRST


_NAMES = {"q", "created_after", "created_before", "limit"}


def _time(name: str, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        return parse_time(value)
    except ValueError:
        _refuse(name, "Expected a time with its offset, such as 2026-01-02T03:04:05Z")


def _is_utf8(query: bytes) -> bool:
    try:
        unquote_to_bytes(query).decode()
    except UnicodeDecodeError:
        return False
    return True


def _refuse(name: str, message: str) -> NoReturn:
    raise ValidationException(extra=[{"source": ParamType.QUERY, "key": name, "message": message}])
