"""What counts as text, wherever a person may type some."""

from typing import Annotated

from pydantic import AfterValidator


def _without_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain the NUL character")
    return value


StorableText = Annotated[str, AfterValidator(_without_nul)]
"""Any Unicode text that every database takes and gives back as it was.

NUL is refused here; lone surrogates, which are no Unicode text, are refused by every `str` field.
"""
