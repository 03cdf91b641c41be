"""The version is said in two places, which must agree."""

import tomllib
from pathlib import Path

from app import __version__


def test_the_package_and_the_project_are_of_one_version() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]

    assert project["version"] == __version__
