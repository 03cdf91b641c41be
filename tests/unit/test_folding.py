"""Folding: what a search finds in a text, by Unicode's rules and in bounded time."""

import asyncio
import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.storage.folding import Term, attaches, fold, pieces

CHARACTERS = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]

# Letters that merge, expand, reorder or change with their case, besides any others.
TROUBLESOME = st.sampled_from(
    "eEßẞ\u017f\u0301\u0323\u0345İ\u0131Ii\u03c3ςΣΐΰŉǰﬁﬃK\u1100\u1161\u11a8가각ｶﾞÅÅ①½\ufdfa\u0f73%_\\ \n😀"
)
TEXTS = st.text(TROUBLESOME | st.characters(exclude_categories=["Cs"]), max_size=40)


async def is_in(term: str, text: str) -> bool:
    return await Term(term).is_in(text)


def test_every_character_folds_to_something_that_stays() -> None:
    folded = {character: fold(character) for character in CHARACTERS}

    assert [character for character in CHARACTERS if not folded[character]] == []
    assert [character for character in CHARACTERS if fold(folded[character]) != folded[character]] == []


@given(TEXTS)
@example("\u03b1\u0345\u0301 x\u0345\u0301")
def test_folding_what_is_folded_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(TEXTS)
def test_forms_and_cases_of_a_text_fold_alike(text: str) -> None:
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert fold(unicodedata.normalize(form, text)) == fold(text)
    assert fold(text.casefold()) == fold(text)


def test_every_character_that_merges_with_the_one_before_it_attaches() -> None:
    pairs = [unicodedata.decomposition(character).split() for character in CHARACTERS]
    seconds = {chr(int(pair[1], 16)) for pair in pairs if len(pair) == 2 and not pair[0].startswith("<")}
    marks = {character for character in CHARACTERS if unicodedata.combining(character)}
    hangul = {unicodedata.normalize("NFD", character)[-1] for character in CHARACTERS[0xAC00:0xD7A4]}

    assert [character for character in sorted(seconds | marks | hangul) if not attaches(character)] == []
    for character in CHARACTERS:
        if not attaches(character):
            assert not attaches(fold(character)[0]), hex(ord(character))


@given(st.text(TROUBLESOME, min_size=500, max_size=1500))
def test_pieces_fold_as_they_do_together(text: str) -> None:
    assert "".join(pieces(text)) == text
    assert "".join(map(fold, pieces(text))) == fold(text)
    assert max(map(len, pieces(text))) <= 512 + 64


@given(before=TEXTS, term=TEXTS, after=TEXTS, repeated=st.integers(0, 30))
async def test_a_term_is_found_where_the_folded_text_contains_it(
    before: str, term: str, after: str, repeated: int
) -> None:
    text = before * repeated + term + after * repeated

    assert await is_in(term, text) == (fold(term) in fold(text))


@pytest.mark.parametrize("around", [0, 505, 506, 510, 511, 512, 513, 575, 576, 577, 2000])
async def test_a_term_is_found_across_pieces(around: int) -> None:
    text = "ы" * around + "STRASSE é" + "ы" * 600

    assert await is_in("straße e\u0301", text)
    assert not await is_in("strasse e\u0301e", text)


@pytest.mark.parametrize("unit", ["\u0301\u0323", "\ufdfa", "\u1161", "x\u0345\u0301"])
async def test_no_text_keeps_the_process_from_other_work(unit: str) -> None:
    size = len(unit.encode())
    searching = asyncio.create_task(is_in("missing", unit * (2**20 // size)))
    turns = 0
    while not searching.done():
        await asyncio.sleep(0)
        turns += 1

    assert not searching.result()
    assert turns > 10
