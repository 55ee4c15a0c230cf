"""Which of an argument's choices somebody said in so many words: by its value, or by a title that the tool gives it.

Tools of Korean houses have choices like ``express``, and their users say 빠른 배송. A schema says so with ``oneOf``::

    {"oneOf": [{"const": "express", "title": "빠른 배송"}, {"const": "pickup", "title": "방문 수령"}]}

A choice that was said, and no other, is meant: by its title always, by its bare value where the argument is required
("please open a ticket" does not say that its status is open).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from adapters.forms.values import TITLED
from state import JSON

LEAST_CHARS: Final = 2
"""A title or value of one character stands in too many words."""
_PARTS: Final = re.compile(r"[\s_-]+")


def said_choice(spec: Mapping[str, Any], texts: Sequence[str], *, required: bool) -> JSON:
    """The one choice of ``spec`` that ``texts`` say; None where they say none, or several.

    Args:
        spec: An argument, as ``forms.values.property_of`` has it.
        texts: What people said.
        required: Whether the argument is.
    """
    named: list[tuple[str, JSON]] = [(title, value) for value, title in spec.get(TITLED, ())]
    if required:
        named += [(value, value) for value in spec.get("enum", ()) if isinstance(value, str)]
    found = [(span, value) for text in texts for span, value in _found(named, text)]
    values = {str(value): value for _, value in found}
    return next(iter(values.values())) if len(values) == 1 else None


def _found(named: Iterable[tuple[str, JSON]], text: str) -> list[tuple[tuple[int, int], JSON]]:
    """Where each is said; what lies inside a longer one ("delivery" in "same-day delivery") is not."""
    spans = [
        (match.span(), value)
        for words, value in named
        if len(words.strip()) >= LEAST_CHARS
        for match in _pattern(words.strip()).finditer(text)
    ]
    return [
        ((start, end), value)
        for (start, end), value in spans
        if not any(a <= start and end <= b and b - a > end - start for (a, b), _ in spans)
    ]


@lru_cache(maxsize=512)
def _pattern(words: str) -> re.Pattern[str]:
    """As a word of its own; with or without spaces, and a Korean one with whatever particle follows."""
    parts = r"[\s_-]?".join(re.escape(part) for part in _PARTS.split(words) if part)
    korean = "가" <= words[-1] <= "힣"
    return re.compile(rf"(?<!\w)(?:{parts})" + ("" if korean else r"(?![A-Za-z0-9])"), re.IGNORECASE)


__all__ = ["LEAST_CHARS", "said_choice"]
