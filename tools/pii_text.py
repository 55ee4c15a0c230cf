"""Text as pattern recognisers read it, with a way back to the characters that a person wrote. Recognises nothing.

Full-width digits, circled digits, decomposed Hangul, odd dashes and invisible signs must not hide a number.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10))))
"""Characters that show nothing and are no format characters (Cf) by category."""
_DASHES = frozenset("\u2212\u30fc\uff70\u00b7\u30fb\u2022\u2500\u4e00\u3161")
"""Signs beside the dashes (Pd) that are written between groups of digits."""

_ONE_BY_ONE = re.compile(r"(?<![0-9])[0-9](?:[ .][0-9]){8,}(?![0-9])")
"""Nine digits or more, each apart."""


@dataclass(frozen=True)
class Plain:
    """A normalised text and, for each of its characters, where it was in the original."""

    text: str
    origin: tuple[int, ...]
    length: int

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The characters [start, end) of the normalised text as [start, end) of the original."""
        return self.origin[start], (self.origin[end] if end < len(self.origin) else self.length)


def plain(text: str) -> Plain:
    """Normalise ``text`` (NFKC, nothing invisible, one kind of dash between digits)."""
    if text.isascii():
        return _joined(Plain(text, tuple(range(len(text))), len(text)))
    characters: list[str] = []
    origin: list[int] = []
    for start, cluster in _clusters(text):
        for character in unicodedata.normalize("NFKC", cluster):
            if character not in _INVISIBLE and unicodedata.category(character) != "Cf":
                characters.append(character)
                origin.append(start)
    return _joined(Plain("".join(_one_dash(characters)), tuple(origin), len(text)))


def _joined(found: Plain) -> Plain:
    """Digits that stand one by one are one number: "0 1 0 1 2 …"."""
    gaps = {at for run in _ONE_BY_ONE.finditer(found.text) for at in range(run.start() + 1, run.end(), 2)}
    if not gaps:
        return found
    kept = [at for at in range(len(found.text)) if at not in gaps]
    return Plain("".join(found.text[at] for at in kept), tuple(found.origin[at] for at in kept), found.length)


def _clusters(text: str) -> Iterator[tuple[int, str]]:
    """Pieces that normalise on their own: a character with the marks and Hangul vowels and finals that follow it."""
    start = 0
    for n in range(1, len(text)):
        if unicodedata.combining(text[n]) or "\u1161" <= text[n] <= "\u11ff":
            continue
        yield start, text[start:n]
        start = n
    if text:
        yield start, text[start:]


def _one_dash(characters: list[str]) -> Iterator[str]:
    """Dashes become "-"; signs that are letters or bullets elsewhere do so only right after a digit."""
    before = ""
    for character in characters:
        dash = unicodedata.category(character) == "Pd" or (character in _DASHES and before.isdigit())
        yield "-" if dash else _digit(character)
        before = character


def _digit(character: str) -> str:
    """Decimal digits of any script as ASCII."""
    return str(unicodedata.decimal(character)) if character.isdecimal() else character
