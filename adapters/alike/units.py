"""A text as what it is compared by: words, numbers and marks in small letters. And which of its words are known."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from zlib import crc32

LONGEST: Final = 96
"""Units of a text, at most; what follows is not looked at."""
_UNITS = re.compile(r"[a-z]+|[가-힣]+|\d+|[^\sa-z가-힣\d]+")
_WORDS = re.compile(r"[a-z]+|[가-힣]+")


def units_of(text: str) -> list[str]:
    """Latin words, Korean ones with their particles, numbers, and runs of other marks, in order."""
    return _UNITS.findall(text.lower())[:LONGEST]


def words_of(text: str) -> list[str]:
    """The words of a text in small letters, Latin and Hangul; a Korean word with its particle."""
    return _WORDS.findall(text.lower())


def hashed(word: str) -> int:
    """What stands for a word among the known ones, 32 bits: of some 100,000 strange words one is taken for one."""
    return crc32(word.encode())


def known(words: Iterable[str]) -> frozenset[int]:
    """The hashes of words."""
    return frozenset(map(hashed, words))


__all__ = ["LONGEST", "hashed", "known", "units_of", "words_of"]
