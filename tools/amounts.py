"""Reads a number as people write it: 2명, 두 명, 180,000원, 18만 5천원, two guests. Never rounds, never guesses."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal, InvalidOperation

LARGEST = 2**53 - 1  # beyond it JSON numbers are not exact (RFC 8785 refuses them)
LONGEST_TEXT = 40

WORDS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "한": 1, "하나": 1, "두": 2, "둘": 2, "세": 3, "셋": 3, "네": 4, "넷": 4, "다섯": 5, "여섯": 6, "일곱": 7,
    "여덟": 8, "아홉": 9, "열": 10, "혼자": 1,
}  # fmt: skip
_UNIT = r"(?:명|분|사람|인|원|krw|won|₩|people|persons?|guests?|adults?)"
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
_PLAIN = re.compile(rf"(?:krw|₩)?\s*(?P<n>[+-]?{_DIGITS}(?:\.\d+)?)\s*{_UNIT}?(?:이요|요)?")
_WORDED = re.compile(rf"(?P<w>{'|'.join(sorted(WORDS, key=len, reverse=True))})\s*{_UNIT}?")
_KOREAN = re.compile(
    rf"(?:(?P<man>{_DIGITS}(?:\.\d+)?)\s*만)?\s*(?:(?P<thousand>{_DIGITS}(?:\.\d+)?)\s*천)?\s*(?P<rest>{_DIGITS})?\s*원?"
)


class Unreadable(ValueError):
    """No number; ``str(e)`` is the end of a sentence."""


def read_number(text: str) -> Decimal:
    """The number that ``text`` writes, exactly.

    Raises:
        Unreadable: when it is none, or too large to be exact in JSON.
    """
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    if not plain or len(plain) > LONGEST_TEXT:
        raise Unreadable("is no number")
    found = _read(plain)
    if found is None:
        raise Unreadable("is no number")
    if abs(found) > LARGEST:
        raise Unreadable("is too large")
    return found


def _read(plain: str) -> Decimal | None:
    try:
        if match := _PLAIN.fullmatch(plain):
            return Decimal(match["n"].replace(",", ""))
        if match := _WORDED.fullmatch(plain):
            return Decimal(WORDS[match["w"]])
        if (match := _KOREAN.fullmatch(plain)) and (match["man"] or match["thousand"]):
            parts = (match["man"], 10_000), (match["thousand"], 1_000), (match["rest"], 1)
            return sum((Decimal(part.replace(",", "")) * unit for part, unit in parts if part), Decimal(0))
    except InvalidOperation:  # digits that are none for Decimal
        return None
    return None
