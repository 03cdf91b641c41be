"""The lines of an export that say what it is of, and whether it is whole."""

from datetime import datetime
from hashlib import sha256
from typing import ClassVar

from sqlmodel import Field, SQLModel

from models.columns import now
from models.example import TIME, Example
from models.user import UserRead

EXPORT_FORMAT = "postline-export-1"
"""The format that exports are written in, and the only one that is read."""


class ExportedUser(UserRead):
    """The first line: the account, and what the export is of."""

    example: ClassVar[Example] = UserRead.example | {"format": EXPORT_FORMAT, "version": 17, "exported_at": TIME}

    format: str = EXPORT_FORMAT
    version: int = Field(ge=0, description="The timeline's version that the export shows.")
    exported_at: datetime = Field(default_factory=now)


class ExportEnd(SQLModel):
    """The last line, as `end`: counts the lines before it, and hashes their bytes, line feeds included."""

    example: ClassVar[Example] = {"lines": 2, "sha256": sha256(b"").hexdigest()}

    lines: int
    sha256: str


class ImportRead(SQLModel):
    """The answer to an import: what it did, and the timeline's version after it."""

    example: ClassVar[Example] = {"created": 1, "skipped": 0, "version": 18}

    created: int = Field(ge=0, description="Posts that were added.")
    skipped: int = Field(ge=0, description="Posts that the account had already.")
    version: int = Field(ge=0, description="The timeline's version.")
