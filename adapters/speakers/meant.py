"""What speaks for a sentence by what its words mean, beside ``speakers.lexical``, which sees their letters alone.

"What does the brewery turn out in a year" is answered by a sentence with "produces" and "annually". Each word of the
question is held by a sentence as far as the nearest of its words means the same; rare words weigh more. Nothing here is
learned: what words mean comes from models that were read on far more text than ours (``adapters.alike.meanings``), so
that it serves documents that nobody taught.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from adapters.alike.content import Word
from adapters.alike.meanings import Vector
from adapters.speakers.lexical import rarity

FAINT: Final = 0.2
SAME: Final = 0.6
"""Words no more alike than ``FAINT`` have nothing to do with one another; from ``SAME`` on they say the same."""
NEARLY: Final = 0.9
"""What a word counts that is held in another one's meaning alone."""
BEFORE: Final = 0.7
"""What a word counts that only the sentence before holds: it often says whom this one is about."""
Shares = NDArray[np.float64]


def held(question: Sequence[Word], sentences: Sequence[Sequence[Word]], follows: Sequence[bool]) -> list[float]:
    """The share of the question's words that each sentence holds, 0 to 1, rare ones weighing more.

    Args:
        question: Its words.
        sentences: Those of the candidates.
        follows: Whether each stands right after the one before in this list in the same text.
    """
    if not question:
        return [0.0] * len(sentences)
    forms = [{word.form for word in sentence} for sentence in sentences]
    rare = np.array([rarity(sum(word.form in some for some in forms), len(forms)) for word in question])
    weight = rare / rare.sum()
    each = [_each(question, sentence, some) for sentence, some in zip(sentences, forms, strict=True)]
    found = []
    for i, own in enumerate(each):
        before = np.maximum(each[i - 1] - own, 0.0) if i and i < len(follows) and follows[i] else 0.0 * own
        found.append(math.fsum(weight * (own + BEFORE * before)))
    return found


def around(question: Sequence[Word], sentences: Sequence[Sequence[Word]], passages: Sequence[str]) -> list[float]:
    """The share of the question's words that stand anywhere in each one's passage, 0 to 1, rare ones weighing more.

    Args:
        question: Its words.
        sentences: Those of the candidates.
        passages: Which passage each stands in.
    """
    forms = [{word.form for word in sentence} for sentence in sentences]
    weight = {word.form: rarity(sum(word.form in some for some in forms), len(forms)) for word in question}
    together: dict[str, set[str]] = {}
    for passage, some in zip(passages, forms, strict=True):
        together.setdefault(passage, set()).update(some)
    total = math.fsum(weight.values()) or 1.0
    share = {p: math.fsum(w for form, w in weight.items() if form in some) / total for p, some in together.items()}
    return [share[passage] for passage in passages]


def _each(question: Sequence[Word], sentence: Sequence[Word], forms: set[str]) -> Shares:
    """How far a sentence holds each word, 0 to 1: 1 where the word itself stands there."""
    known = [word.meaning for word in sentence if word.meaning is not None]
    told = np.stack(known) if known else None
    nearest = np.array([_nearest(word.meaning, told) for word in question])
    meant = NEARLY * np.clip((nearest - FAINT) / (SAME - FAINT), 0.0, 1.0)
    return np.where([word.form in forms for word in question], 1.0, meant)


def _nearest(meaning: Vector | None, told: NDArray[Any] | None) -> float:
    return 0.0 if meaning is None or told is None else float((told @ meaning).max())


__all__ = ["around", "held"]
