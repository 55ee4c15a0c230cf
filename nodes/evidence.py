"""Weighs retrieved evidence before anybody relies on it: good, weak, or contradictory. Pure; no model is asked.

*Weak*: nothing was found, or the best score is under a threshold. *Contradictory*: two passages of different documents
hold the same sentence with different figures ("Check-out is at 11" and "Check-out is at 12"). Only that form is
recognised: it is precise, and what it names can be shown to a person side by side.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from state import Passage, Weighed

WEAK_BELOW: Final = 0.12
"""Fused score of the best passage under which evidence is weak; the scale is the store's, 0 to 1."""

_FIGURE = re.compile(r"\d+(?:[.,:]\d+)*")
_MIN_WORDS: Final = 3


def weigh(passages: Sequence[Passage], *, weak_below: float = WEAK_BELOW) -> Weighed:
    """The grade of the passages of one question, best first."""
    clash = _contradiction(passages)
    if clash:
        return Weighed(grade="contradictory", about=clash)
    best = max((p["scores"].get("fused", 0.0) for p in passages), default=0.0)
    return Weighed(grade="weak" if best < weak_below else "good", about=[])


def _contradiction(passages: Sequence[Passage]) -> list[str]:
    seen: dict[str, tuple[str, list[str], str]] = {}
    for passage in passages:
        for start, end in passage["sentences"]:
            sentence = " ".join(passage["text"][start:end].split())
            figures = _FIGURE.findall(sentence)
            frame = _FIGURE.sub("#", sentence).casefold().strip(" .。!")
            if not figures or len(frame.split()) < _MIN_WORDS:
                continue
            document, others, first = seen.setdefault(frame, (passage["document"], figures, sentence))
            if document != passage["document"] and others != figures:
                return [first, sentence]
    return []
