"""What is written about the service: that its links lead somewhere, and its list of changes is up to date."""

import re
from pathlib import Path

import pytest

from app import __version__

ROOT = Path(__file__).resolve().parents[2]
CHANGELOG = ROOT / "CHANGELOG.md"
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]

pytestmark = pytest.mark.skipif(
    not CHANGELOG.exists(), reason="needs the checkout: images lack most of what is linked to"
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())

    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_the_changelog_has_an_entry_for_this_version() -> None:
    assert f"\n## {__version__} - " in CHANGELOG.read_text()
