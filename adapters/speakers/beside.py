"""Which sentences are told together with the one that answers.

"How much do I get back when I cancel?" has an answer for each case: all of it seven days before, half of it three days
before. Whoever is told one of them is misled. So sentences of the same document are told with the one that was chosen
as far as they answer, too: the question is alike to them and shares their words, they are not far behind it, and they
stand in its passage, or right before or after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import Final

from adapters.speakers.evidence import GAP_CHARS, Evidence

MOST: Final = 4
"""Sentences of an answer: who needs more of them opens the document."""
FAINT: Final = -20.0
"""Nats of likeness: less alike says no more."""
EVER: Final = -1.3
"""Log odds that another sentence belongs to the answer (fitted, docs/adr/0054), and what is added to them:"""
ALIKE: Final = 0.18  # for each nat of likeness to the question
SHARED_BEHIND: Final = -2.9  # for what the words that it shares with the question are worth less than the chosen one's
SAME_PASSAGE: Final = 0.95
NEXT_TO_IT: Final = 0.95


def together(
    chosen: int, rows: Sequence[Evidence], alike: Sequence[float], shared: Sequence[float], least: float
) -> list[int]:
    """The chosen sentence and those that belong to the same answer, ``MOST`` at most, in the order of their document.

    Args:
        chosen: Which sentence answers.
        rows: All that could be chosen.
        alike: How alike the question is to each, in nats.
        shared: What the words of both are worth (``speakers.lexical.worth``, with what they mean).
        least: How probably a sentence has to belong to the answer; 0 tells the chosen one alone.
    """
    of_it = {i: _probably(i, chosen, rows, alike, shared) for i, row in enumerate(rows) if _shares(row, rows[chosen])}
    others = sorted((i for i, p in of_it.items() if p >= least > 0), key=lambda i: -of_it[i])[: MOST - 1]
    return sorted([chosen, *others], key=lambda i: rows[i].start)


def _shares(row: Evidence, chosen: Evidence) -> bool:
    """Whether it is another sentence of the same document."""
    return row != chosen and row.document == chosen.document


def _probably(i: int, chosen: int, rows: Sequence[Evidence], alike: Sequence[float], shared: Sequence[float]) -> float:
    """How probably a sentence belongs to the answer of which the chosen one is a part."""
    row, own = rows[i], rows[chosen]
    place = SAME_PASSAGE * (row.passage == own.passage) + NEXT_TO_IT * _adjoins(row, own)
    odds = EVER + ALIKE * max(alike[i], FAINT) + SHARED_BEHIND * (shared[chosen] - shared[i]) + place
    return 1 / (1 + exp(-odds))


def _adjoins(one: Evidence, other: Evidence) -> bool:
    """Whether one stands right before or after the other."""
    return 0 <= max(one.start, other.start) - min(one.end, other.end) <= GAP_CHARS


__all__ = ["MOST", "together"]
