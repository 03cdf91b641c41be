"""What is written about the service: that its links lead somewhere, and its list of changes is up to date."""

import re
from pathlib import Path

import pytest

from app import __version__
from app.errors import DomainError
from app.http.problems import problem_type

ROOT = Path(__file__).resolve().parents[2]
CHANGELOG = ROOT / "CHANGELOG.md"
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())

    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_the_changelog_has_an_entry_for_this_version() -> None:
    assert f"\n## {__version__} - " in CHANGELOG.read_text()


def kinds_of(error: type[DomainError]) -> set[type[DomainError]]:
    return set(error.__subclasses__()).union(*(kinds_of(kind) for kind in error.__subclasses__()))


def test_every_kind_of_problem_is_listed_under_its_status() -> None:
    rows = re.findall(r"^\| (\d{3}) \| (.+) \|$", (ROOT / "docs" / "using.md").read_text(), re.MULTILINE)
    listed = {(int(status), slug) for status, slugs in rows for slug in re.findall("`(.+?)`", slugs)}

    assert listed == {(kind.status, problem_type(kind).rpartition(":")[2]) for kind in kinds_of(DomainError)}


def test_every_promise_of_the_security_model_names_tests_that_exist() -> None:
    table = (ROOT / "docs" / "security.md").read_text().partition("\n## What holds these promises\n")[2]
    rows = re.findall(r"^\| (?!promise|---)(.+?) \| (.+) \|$", table, re.MULTILINE)
    named = {promise: re.findall(r"\[(test_\w+)\]\(\.\./(tests/\S+\.py)\)", tests) for promise, tests in rows}

    assert named
    assert [promise for promise, tests in named.items() if not tests] == []
    assert [
        name for tests in named.values() for name, path in tests if f"def {name}(" not in (ROOT / path).read_text()
    ] == []
