"""Which pieces of a text an argument may copy: spans that begin and end where a word or a run of digits does.

Korean particles are attached to their word ("남산스테이에"), so a span may end after any Hangul syllable, but it begins
only where a word begins. Pure text; the grammar is built in ``adapters.forms.grammar``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_PIECE = re.compile(
    r"(?P<gap>\s+)|(?P<digits>\d+)|(?P<syllable>[가-힣ㄱ-ㆎ一-鿿ぁ-ヿ])|(?P<letters>[^\W\d_가-힣ㄱ-ㆎ一-鿿ぁ-ヿ]+)|(?P<mark>.)",
    re.DOTALL,
)
_OPENERS = frozenset("([{<#@$€£¥₩+-−/~《「『“‘")
_CLOSERS = frozenset(")]}>%℃°+#》」』”’")
_JOINED = ("syllable", "letters")  # a mark or a digit between two of these begins a new word


class Piece(NamedTuple):
    """One indivisible piece of a text. ``gap`` is the white space before it."""

    gap: str
    text: str
    starts: bool  # a span may begin here
    ends: bool  # a span may end after it


def pieces(text: str) -> list[Piece]:
    """The pieces of ``text`` in order; joined with their gaps they are the text without its trailing white space."""
    found: list[Piece] = []
    gap, before = "", "gap"
    for match in _PIECE.finditer(text):
        kind, piece = str(match.lastgroup), match.group()
        if kind == "gap":
            gap, before = piece, "gap"
            continue
        if kind == "mark":
            starts, ends = piece in _OPENERS, piece in _CLOSERS
        else:
            # "302호" may begin at 302 and, after it, at 호; "남산" never at 산, nor "don't" inside a run of letters.
            starts, ends = not (kind == before and kind in _JOINED), True
        found.append(Piece(gap, piece, starts, ends))
        gap, before = "", kind
    return found


def spans(text: str, *, longest: int = 120) -> set[str]:
    """Every span of at most ``longest`` characters: what the grammar admits, for tests and small texts."""
    parts = pieces(text)
    out: set[str] = set()
    for i, first in enumerate(parts):
        if not first.starts:
            continue
        value = first.text
        for j in range(i, len(parts)):
            value = value if j == i else value + parts[j].gap + parts[j].text
            if len(value) > longest:
                break
            if parts[j].ends:
                out.add(value)
    return out
