"""What changed between two texts, word by word. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final, Literal

MOST: Final = 4_000
"""Words of both texts together that are compared one by one; of longer ones the whole is shown as changed."""


@dataclass(frozen=True)
class Piece:
    """A stretch of text that stayed, went or came."""

    text: str
    kind: Literal["same", "gone", "new"]


def pieces_of(old: str, new: str) -> list[Piece]:
    """The new text with what was taken out and put in, in order."""
    before, after = _words(old), _words(new)
    if len(before) + len(after) > MOST:
        before, after = [old], [new]
    found: list[Piece] = []
    for kind, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        gone, came = "".join(before[i:j]), "".join(after[k:m])
        if kind == "equal":
            found.append(Piece(came, "same"))
            continue
        found += [Piece(gone, "gone")] if gone else []
        found += [Piece(came, "new")] if came else []
    return found


def _words(text: str) -> list[str]:
    return re.findall(r"\s+|\w+|[^\w\s]", text)
