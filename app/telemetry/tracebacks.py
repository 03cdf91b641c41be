"""Tracebacks without what people sent: no variables, and no message that may quote a value."""

from collections.abc import Iterator
from traceback import format_exception_only, format_tb
from types import TracebackType

from msgspec import MsgspecError
from pydantic import ValidationError

# Python, Pydantic and msgspec quote what they can't convert, find or encode.
_QUOTING = (ValueError, LookupError, ValidationError, MsgspecError)

_CAUSED = "\nThe above exception was the direct cause of the following exception:\n\n"
_MEANWHILE = "\nDuring handling of the above exception, another exception occurred:\n\n"


def format_traceback(
    exc_info: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
) -> str:
    """Return the traceback of an exception and of those that led to it, as Python shows them."""
    error = exc_info[1]
    return "" if error is None else "".join(_lines(error, set())).rstrip("\n")


def _lines(error: BaseException, shown: set[int]) -> Iterator[str]:
    shown.add(id(error))
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None and id(earlier) not in shown:
        yield from _lines(earlier, shown)
        yield _CAUSED if error.__cause__ else _MEANWHILE
    yield "Traceback (most recent call last):\n"
    yield from format_tb(error.__traceback__)
    if isinstance(error, _QUOTING):
        yield f"{type(error).__module__}.{type(error).__qualname__}: (its message may quote input)\n"
    else:
        yield from format_exception_only(error)
    for part in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        yield "\nOne of its exceptions:\n\n"
        yield from _lines(part, shown)
