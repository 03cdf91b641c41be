"""Entity tags and the conditions that name them."""

import pytest

from app.http.etags import etag, matches_any, matches_strongly


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


@pytest.mark.parametrize("header", ["*", " * ", '"3"', '"3", "4"', '"x", "3"', '"4",W/"3", "3"'])
def test_if_match_accepts_a_tag_that_it_names(header: str) -> None:
    assert matches_strongly(header, etag(3))


@pytest.mark.parametrize(
    "header", ["", '"4"', 'W/"3"', "3", f'"{"9" * 40}"', '"03"', 'x"3"', '"1"x"3"', '*, "3"', '"3", x', '" 3"']
)
def test_if_match_accepts_no_weak_tag_no_other_one_and_nothing_malformed(header: str) -> None:
    assert not matches_strongly(header, etag(3))
