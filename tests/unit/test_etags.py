"""Entity tags and the conditions that name them."""

import pytest

from app.http.etags import etag, matches_any, versions_in


@pytest.mark.parametrize(
    "header", ['"17"', 'W/"17"', '"1", "17"', '"1",W/"17"', "*", ' "17" ', ', "1",,"17" ,', '"a,b"\t,"17"']
)
def test_if_none_match_knows_the_current_tag_in_every_form(header: str) -> None:
    assert matches_any(header, etag(17))


@pytest.mark.parametrize(
    "header",
    [None, "", '"1"', '"170"', "17", '"', '"0017"', 'x"17"', '"1"x"17"', '"1" "17"', '"17", x', '*, "17"', '" 17"'],
)
def test_if_none_match_does_not_take_another_tag_for_the_current_one(header: str | None) -> None:
    assert not matches_any(header, etag(17))


@pytest.mark.parametrize("header", [None, "*", " * "])
def test_if_match_without_a_version_accepts_any(header: str | None) -> None:
    assert versions_in(header) is None


@pytest.mark.parametrize(
    ("header", "versions"),
    [
        ('"3"', frozenset({3})),
        ('"3", "4"', frozenset({3, 4})),
        ('"x", "4"', frozenset({4})),
        ('W/"3"', frozenset()),
        ("3", frozenset()),
        (f'"{"9" * 40}"', frozenset()),
        ('"03"', frozenset()),
        ('"3", "04"', frozenset({3})),
        ('x"3"', frozenset()),
        ('"1"x"3"', frozenset()),
        ('*, "3"', frozenset()),
    ],
)
def test_if_match_accepts_the_strong_versions_it_names(header: str, versions: frozenset[int]) -> None:
    assert versions_in(header) == versions
