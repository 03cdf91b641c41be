"""What counts as text, wherever a person may type some."""

from typing import Annotated

from pydantic import Field

StorableText = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""Any Unicode text that every database takes and gives back as it was.

NUL is refused here; lone surrogates, which are no Unicode text, are refused by every `str` field.
"""
