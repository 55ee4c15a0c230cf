"""What a text is about: the words of it that mean something, each by its form and by what it means in the world.

Particles, endings, articles and the like say nothing of the matter and are left out. An English word's form is its
first letters, a Korean one's its morpheme, so that "reserve" and "reserved", 예약 and 예약은 are one.
"""

from __future__ import annotations

import re
from threading import Lock
from typing import Final, NamedTuple

from adapters.alike.meanings import Meanings, Vector, unit

STEM_CHARS: Final = 6
MARKED: Final = 3
"""A word longer than this loses the s of several."""
REMEMBERED: Final = 1_000
"""Texts whose words are kept: half a hundred megabytes at most, where all are long."""
_HANGUL: Final = re.compile("[가-힣]")
_LATIN: Final = re.compile("[a-z]+")
_WORD: Final = re.compile(r"[a-z]+|\d[\d,.]*\d|\d")
_EMPTY: Final = frozenset(
    """a an the and or but of in on at to for by with from into as than then there here not no this that these those it
    its he him his she her hers they them their we us our you your i my me who whom whose which what when where why how
    many much is are was were be been being am do does did done has have had can could will would may might must shall
    should""".split()
)


class Word(NamedTuple):
    """A word of a text; ``meaning`` has length 1, None where nobody knows what it means."""

    form: str
    meaning: Vector | None


class Contents:
    """The words of texts; remembers those that it was asked for."""

    def __init__(self, words: Meanings) -> None:
        self._words = words
        self._known: dict[str, list[Word]] = {}
        self._lock = Lock()

    def of(self, text: str) -> list[Word]:
        """Those that mean something, in order. Without an analyser of Korean a Korean text has none."""
        with self._lock:
            if text not in self._known:
                if len(self._known) >= REMEMBERED:
                    self._known.clear()
                self._known[text] = self._read(text)
            return self._known[text]

    def _read(self, text: str) -> list[Word]:
        if _HANGUL.search(text):
            # a Latin word is one word in both languages' texts
            found = self._words.morphemes(text)
            return [Word(_stem(form) if _LATIN.fullmatch(form) else form, meaning) for form, meaning in found]
        words = [word for word in _WORD.findall(text.lower()) if word not in _EMPTY]
        return [
            Word(word if word[0].isdigit() else _stem(word), unit(row) if row.any() else None)
            for word, row in zip(words, self._words.of(words), strict=True)
        ]


def _stem(word: str) -> str:
    """The beginning of an English word, without the s of several."""
    one = word[:-1] if len(word) > MARKED and word.endswith("s") and not word.endswith("ss") else word
    return one[:STEM_CHARS]


__all__ = ["Contents", "Word"]
