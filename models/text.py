"""The type of text that people enter."""

from typing import Annotated

from pydantic import Field

WITHOUT_NUL = r"^[^\x00]*$"

StorableText = Annotated[str, Field(pattern=WITHOUT_NUL)]
"""Unicode text that every supported database stores and returns unchanged.

NUL is refused here. Lone surrogates are refused by every `str` field.
"""
