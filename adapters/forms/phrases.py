"""Where a text says one of some phrases: with or without spaces, a Korean one with whatever particle follows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple, TypeVar

LEAST_CHARS: Final = 2
"""A phrase of one character stands in too many words."""
ASKS: Final = re.compile(r"\s\S*(?:[요다까줘오]|\bplease)[.!?]*$", re.IGNORECASE)
"""How a request ends. The last value of a message may go on with one: "연락처: 010-1234로 등록해 주세요"."""
_PARTS: Final = re.compile(r"[\s_-]+")
T = TypeVar("T")


class Said(NamedTuple):
    """From where to where a phrase is said."""

    at: int
    end: int


def said_in(text: str, named: Iterable[tuple[str, T]]) -> list[tuple[Said, T]]:
    """Where each phrase is said, with what it stands for, in their order.

    What lies inside a longer one ("delivery" in "same-day delivery") is not said.
    """
    found = [
        (Said(*match.span()), meant)
        for words, meant in named
        if len(words.strip()) >= LEAST_CHARS
        for match in _pattern(words.strip()).finditer(text)
    ]
    found.sort(key=lambda each: (each[0].at, -each[0].end))
    kept: list[tuple[Said, T]] = []
    reach, last, inside = 0, Said(-1, -1), False
    for said, meant in found:  # those before it begin no later: one that ends no sooner has it inside
        if said != last:
            inside, reach, last = said.end <= reach, max(reach, said.end), said
        if not inside:
            kept.append((said, meant))
    return kept


@lru_cache(maxsize=4096)
def _pattern(words: str) -> re.Pattern[str]:
    parts = r"[\s_-]?".join(re.escape(part) for part in _PARTS.split(words) if part)
    korean = "가" <= words[-1] <= "힣"
    return re.compile(rf"(?<!\w)(?:{parts})" + ("" if korean else r"(?![A-Za-z0-9])"), re.IGNORECASE)


__all__ = ["ASKS", "LEAST_CHARS", "Said", "said_in"]
