"""What counts as text, wherever a person may type some."""

from typing import Annotated

from pydantic import Field

WITHOUT_NUL = r"^[^\x00]*$"

StorableText = Annotated[str, Field(pattern=WITHOUT_NUL)]
"""Any Unicode text that every database takes and gives back as it was.

NUL is refused here; lone surrogates, which are no Unicode text, are refused by every `str` field.
"""
