"""Text in pieces, some of them marked: what a template can show without computing. Pure.

Strings stay raw in here. The template environment cleans and escapes every one of them on its way out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from state import JSON


@dataclass(frozen=True)
class Segment:
    """A piece of text, marked or not, with a place to go or none."""

    text: str
    marked: bool = False
    href: str = ""


def highlighted(text: str, values: Iterable[JSON]) -> list[Segment]:
    """``text`` cut so that the arguments that appear in it can be marked."""
    shown = {form for v in values for form in forms_of(v)}
    if not shown:
        return [Segment(text)]
    pattern = "|".join(re.escape(form) for form in sorted(shown, key=len, reverse=True))
    pieces = re.split(f"({pattern})", text)
    return [Segment(piece, marked=i % 2 == 1) for i, piece in enumerate(pieces) if piece]


def forms_of(value: JSON) -> list[str]:
    """How a value may be written in a text; [] for one that would be found anywhere."""
    if isinstance(value, bool) or value is None:
        return []
    if isinstance(value, int | float):
        return [f"{value:,}", str(value)] if abs(value) >= 10 else []
    return [value] if isinstance(value, str) and 1 < len(value) <= 80 else []


def spans(text: str, start: int, end: int) -> list[Segment]:
    """``text`` with [start, end) marked; offsets outside of it mark nothing."""
    start, end = max(0, start), min(len(text), end)
    if start >= end:
        return [Segment(text)]
    pieces = [Segment(text[:start]), Segment(text[start:end], marked=True), Segment(text[end:])]
    return [piece for piece in pieces if piece.text]
