"""Text as a search compares it: whatever the case and the form of its characters, in any script.

Collations differ between databases and between their versions, so that texts are compared here and not there.
"""

import asyncio
import unicodedata
from collections.abc import Iterator
from time import perf_counter

_PIECE_CHARACTERS = 512
_LONGEST_RUN = 64
_TURN_SECONDS = 0.002

# Letters that can merge with the one before them although they are no marks: the vowels and final consonants of
# decomposed Hangul, and a vowel of Kirat Rai.
_FIRST_VOWEL, _LAST_CONSONANT = "\u1160", "\u11ff"
_KIRAT_RAI_VOWEL_E = "\U00016d67"


def fold(text: str) -> str:
    """Return the text in NFKC, with full case folding (Unicode 3.13).

    Folding what is folded changes nothing. It takes a time that grows with the square of a run of combining marks.
    """
    if text.isascii():
        return text.lower()
    return _nfkc(_nfkc(text).casefold())


class Term:
    """What is searched for."""

    def __init__(self, text: str) -> None:
        self._folded = fold(text)
        self._is_ascii = self._folded.isascii()
        self._turn_began = perf_counter()

    async def is_in(self, text: str) -> bool:
        """Return whether the term occurs in the text. Others have their turn if that takes long."""
        if text.isascii():
            return self._is_ascii and self._folded in text.lower()
        seen = ""
        for piece in pieces(text):
            seen += fold(piece)
            if self._folded in seen:
                return True
            seen = seen[max(0, len(seen) - len(self._folded) + 1) :]
            if perf_counter() - self._turn_began > _TURN_SECONDS:
                await asyncio.sleep(0)
                self._turn_began = perf_counter()
        return False


def pieces(text: str) -> Iterator[str]:
    """Yield the text in pieces that fold as they do together.

    Python normalises in one go, without letting any other thread run, and takes minutes for a megabyte of combining
    marks. So a run of more than 64 of them may be cut; no language has one.
    """
    begin = 0
    while len(text) - begin > _PIECE_CHARACTERS:
        end = begin + _PIECE_CHARACTERS
        last = min(end + _LONGEST_RUN, len(text))
        while end < last and attaches(text[end]):
            end += 1
        yield text[begin:end]
        begin = end
    yield text[begin:]


def attaches(character: str) -> bool:
    """Return whether a character may change together with the one before it when they are normalised."""
    if character.isascii():
        return False
    first = unicodedata.normalize("NFKD", character)[0]
    return (
        unicodedata.category(first).startswith("M")
        or _FIRST_VOWEL <= first <= _LAST_CONSONANT
        or first == _KIRAT_RAI_VOWEL_E
    )


def _nfkc(text: str) -> str:
    return unicodedata.normalize("NFKC", text)
