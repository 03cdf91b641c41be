"""The code in docs/extending.md, for the tests that take the guide at its word."""

import re
from pathlib import Path
from typing import NamedTuple

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "extending.md"


class Block(NamedTuple):
    """A block of code, and the language it is marked with."""

    language: str
    code: str

    @property
    def path(self) -> str:
        """The file that the first line names."""
        return self.code.partition("\n")[0].removeprefix("# ")


def blocks(part: str) -> list[Block]:
    """Return the code of one part of the guide, by the part's heading."""
    (text,) = re.findall(rf"^## {part}\n(.*?)(?=^## |\Z)", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    return [Block(*found) for found in re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)]
