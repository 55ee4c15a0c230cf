"""What speaks for a sentence by words alone: shared terms, runs of letters, BM25, the kind of answer. Knows no model.

``worth`` is what a reading base's judgement is joined with, and what chooses among too many sentences. It takes two
ways of comparing, because they fail on different questions: whole terms do not see that "reserve" and "reservation"
are one word, runs of letters take every long word for many (measured: docs/log.md, 2026-11-26).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from adapters.speakers.expecting import expected, holds

STEM_CHARS: Final = 5
BEFORE: Final = 0.3
EXPECTED: Final = 0.25
RUNS: Final = 1.0
K1: Final = 1.2
B: Final = 0.75
"""Okapi BM25's usual constants (Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework")."""
_TERM: Final = re.compile(r"[가-힣]+|[a-z]+|\d+")
_WORD: Final = re.compile(r"\w+")


def terms(text: str) -> list[str]:
    """What two texts can share: Hangul by pairs of syllables, Latin words by their first letters, numbers whole."""
    found: list[str] = []
    for word in _TERM.findall(text.casefold()):
        if "가" <= word[0] <= "힣":
            found += [word[i : i + 2] for i in range(len(word) - 1)] or [word]
        else:
            found.append(word[:STEM_CHARS])
    return found


def overlap(question: str, sentences: Sequence[str]) -> list[float]:
    """Share of the question's terms that each sentence holds, 0 to 1; a term that few sentences hold weighs more."""
    asked, held = set(terms(question)), [set(terms(sentence)) for sentence in sentences]
    weight = _rarity(asked, held)
    total = math.fsum(weight.values()) or 1.0
    return [math.fsum(weight[t] for t in asked & h) / total for h in held]


def runs(question: str, sentences: Sequence[str]) -> list[float]:
    """Cosine of TF-IDF over runs of three to five letters (two and three where the question is Korean), 0 to 1."""
    sizes = (2, 3) if re.search("[가-힣]", question) else (3, 4, 5)

    def cut(text: str) -> Counter[str]:
        text = f" {' '.join(_WORD.findall(text.casefold()))} "
        return Counter(text[i : i + k] for k in sizes for i in range(len(text) - k + 1))

    texts, asked = [cut(sentence) for sentence in sentences], cut(question)
    held = Counter(run for text in texts for run in text)
    weight = {t: math.log((1 + len(texts)) / (1 + n)) + 1 for t, n in held.items()}
    longest = math.sqrt(
        sum(((1 + math.log(n)) * weight.get(t, math.log(1 + len(texts)) + 1)) ** 2 for t, n in asked.items())
    )

    def score(text: Counter[str]) -> float:
        long = math.sqrt(sum(((1 + math.log(n)) * weight[t]) ** 2 for t, n in text.items()))
        both = (t for t in asked if t in text)
        return sum((1 + math.log(asked[t])) * (1 + math.log(text[t])) * weight[t] ** 2 for t in both) / (
            long * longest or 1.0
        )

    return [score(text) for text in texts]


def bm25(question: str, sentences: Sequence[str]) -> list[float]:
    """Okapi BM25 over the candidates; terms as in ``overlap``."""
    texts = [Counter(terms(sentence)) for sentence in sentences]
    mean = sum(sum(text.values()) for text in texts) / max(len(texts), 1) or 1.0
    held = Counter(term for text in texts for term in text)
    weight = {t: math.log(1 + (len(texts) - n + 0.5) / (n + 0.5)) for t, n in held.items()}

    def score(text: Counter[str]) -> float:
        long = K1 * (1 - B + B * sum(text.values()) / mean)
        return math.fsum(weight[t] * text[t] * (K1 + 1) / (text[t] + long) for t in set(terms(question)) if text[t])

    return [score(text) for text in texts]


def worth(question: str, sentences: Sequence[str], follows: Sequence[bool] = ()) -> list[float]:
    """What speaks for each sentence without any model: its overlap, what stands before it, and the kind of answer.

    A sentence of a text often leaves unsaid whom it is about, because the sentence before said it: terms that only
    that one holds count ``BEFORE`` as much. One that holds the kind of thing that is asked for gains ``EXPECTED``,
    and the likeness by runs of letters counts ``RUNS`` as much as the share of terms.

    Args:
        question: What is asked.
        sentences: The candidates.
        follows: Whether each stands right after the one before in this list in the same text; by default none does.
    """
    asked, held = set(terms(question)), [set(terms(sentence)) for sentence in sentences]
    weight = _rarity(asked, held)
    total, kind = math.fsum(weight.values()) or 1.0, expected(question)
    found = []
    for i, (own, alike) in enumerate(zip(held, runs(question, sentences), strict=True)):
        before = held[i - 1] - own if i and i < len(follows) and follows[i] else set()
        of_own, of_before = (math.fsum(weight[t] for t in asked & some) for some in (own, before))
        share = (of_own + BEFORE * of_before) / total
        found.append(share + RUNS * alike + (EXPECTED if kind and holds(kind, sentences[i], question) else 0.0))
    return found


def _rarity(asked: set[str], held: Sequence[set[str]]) -> dict[str, float]:
    """What each term that is asked for weighs: more, the fewer sentences hold it."""
    return {t: rarity(sum(t in h for h in held), len(held)) for t in asked}


def rarity(holding: int, sentences: int) -> float:
    """What a term weighs that so many of the sentences hold."""
    return math.log(1 + (sentences + 1) / (holding + 0.5))


__all__ = ["bm25", "overlap", "rarity", "runs", "terms", "worth"]
