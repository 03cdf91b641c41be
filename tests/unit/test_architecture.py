"""The picture in docs/architecture.md shows the packages as they import each other."""

import re

from tests.package_graph import ROOT, package_graph


def test_the_picture_is_made_from_the_code() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    (picture,) = re.findall(r"```mermaid\n(flowchart TD\n.*?)\n```", text, re.DOTALL)

    assert picture == package_graph(), "python -m tests.package_graph prints the picture as it is now"


def test_every_package_is_in_the_table() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    packages = {f"app.{folder.parent.name}" for folder in (ROOT / "app").glob("*/__init__.py")}

    assert packages <= set(re.findall(r"^\| `([\w.]+)` \|", text, re.MULTILINE))
