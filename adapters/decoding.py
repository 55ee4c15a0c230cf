"""How a local model speaks: what was measured on held-out questions and is shipped with the weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import inf, isfinite
from pathlib import Path
from typing import Final, Literal, get_args

from adapters.errors import ModelNotUsable

Strategy = Literal["number", "reading"]
DECODING_FILE: Final = "decoding.json"
LEAD: Final = 8.0
"""Nats by which the best sentence leads the second, at most: more says no more."""
WORDED: Final = (0.8, 1.6)
"""What the words of the best sentence are worth where a question begins to ask with its document's words, and does."""
SURE: Final = (4.0, 8.0)
"""How alike the most alike sentence is from where on the network begins to know that it is meant, and knows it."""


@dataclass(frozen=True)
class Decoding:
    """How a local model speaks; measured on held-out questions, shipped with the weights.

    "number" is for any checkpoint: it abstains where the share of "[0]" among all numbers is at least
    ``abstain_share``. "reading" is for the bases that ``adapters.training`` makes: it abstains where the best sentence
    is worth less than ``abstain_margin`` nats (``told``, ``stands``). ``overlap_weight`` adds so
    many nats for a sentence whose words are worth 1 (``speakers.lexical.worth``; all terms of the question are 1, with
    their letters and meanings 3), and with ``overlap_power`` more than in proportion for more: who shares nearly all
    words is meant, while a few say little. ``name_weight`` adds so
    much of the nats by which the conversation makes a tool's name likelier: base and adapter know the names of their
    tools. ``verdict_weight`` adds so much of the log odds that a base taught to say so finds a candidate to fit.
    ``likeness_weight`` adds so much of the likeness of a question and a sentence, or of a request and a tool, by the
    network of words that was taught beside a base (``adapters.alike``), which then also says whether a tool or a
    sentence is meant; 0 without.
    ``meant_weight`` is how much words of the question that a sentence holds by their meaning (``speakers.meant.held``)
    count beside those that stand there; 0 leaves meanings alone.
    ``strange_weight`` adds so much to ``overlap_weight`` for a question of which no word was taught to it: in
    somebody's own documents words that nobody taught say most, and likeness says little.
    ``named_weight`` adds so much for a sentence that names the house, branch or office that the question names, whose
    name is then looked at nowhere else, and rules out what stands under another one's (``speakers.named``); 0 takes a
    name for words like others.
    ``lead_weight`` adds so much of the nats, ``LEAD`` at most, by which the best sentence leads the second: of the
    answer of a question that nobody taught in these words little speaks for it, but far less for all others, while
    where nothing answers several sentences about the subject are worth as little.
    ``together_least``: how probably another sentence of its document has to belong to the same answer to be told with
    the one that was chosen (``speakers.beside``); 0 tells that one alone.
    A tool is wanted where the best makes the request at least ``call_margin`` nats likelier, and
    ``call_margin_per_token`` more for each token of the request, whatever the evidence: a sentence that shares a name
    with a request would win otherwise. Small leanings add up over a long question, so it has to show more than a
    request of three words. For the same reason what a reading says of a sentence counts in full only up to
    ``question_tokens`` tokens of the question and in proportion beyond, while the words that both share are a share
    whatever the length; 0 is in full always.
    """

    strategy: Strategy = "number"
    abstain_share: float = 0.5
    abstain_margin: float = 0.0
    overlap_weight: float = 0.0
    name_weight: float = 0.0
    call_margin: float = 0.0
    verdict_weight: float = 0.0
    call_margin_per_token: float = 0.0
    question_tokens: float = 0.0
    likeness_weight: float = 0.0
    strange_weight: float = 0.0
    meant_weight: float = 0.0
    overlap_power: float = 1.0
    named_weight: float = 0.0
    lead_weight: float = 0.0
    worded_likeness: float = 1.0
    passage_weight: float = 0.0
    together_least: float = 0.0

    def trusted(self, tokens: int) -> float:
        """The share of a reading's nats that counts for a sentence, where the question has so many tokens; 0 to 1."""
        return min(1.0, self.question_tokens / max(tokens, 1)) if self.question_tokens > 0 else 1.0

    def told(
        self, tokens: int, margins: Sequence[float], shared: Sequence[float], alike: Sequence[float],
        strange: float = 0.0,
    ) -> list[float]:  # fmt: skip
        """What each sentence is worth as the answer of a question of so many tokens, in nats.

        Args:
            tokens: Of the question.
            margins: What its reading says, verdict included.
            shared: What the words of both say (``speakers.lexical.worth``, with what they mean).
            alike: Its likeness to the question.
            strange: The share of the question's words that were never taught.
        """
        trusted, words = self.trusted(tokens), self.overlap_weight + self.strange_weight * strange
        each = zip(margins, shared, alike, strict=True)
        return [trusted * m + words * s**self.overlap_power + self.likeness_weight * a for m, s, a in each]

    def ranked(
        self, shared: Sequence[float], alike: Sequence[float], around: Sequence[float], strange: float = 0.0
    ) -> list[float]:
        """What speaks for each sentence where one of them is chosen, before any is read, in nats.

        Args:
            shared: As ``told`` has it.
            alike: Likewise.
            around: The share of the question's words that stand anywhere in its passage (``speakers.meant.around``).
            strange: As ``told`` has it.
        """
        worded = _between(max(shared, default=0.0), *WORDED) * (1.0 - _between(max(alike, default=0.0), *SURE))
        words = [s + self.passage_weight * worded * a for s, a in zip(shared, around, strict=True)]
        likenesses = [(1.0 - (1.0 - self.worded_likeness) * worded) * a for a in alike]
        return self.told(1, [0.0] * len(words), words, likenesses, strange)

    def stands(self, worths: Sequence[float], best: int) -> float:
        """What a chosen sentence is worth, with its lead over the others; one alone leads by ``LEAD``."""
        ahead = worths[best] - max((w for i, w in enumerate(worths) if i != best), default=-inf)
        return worths[best] + self.lead_weight * min(max(ahead, 0.0), LEAD)

    def call_least(self, tokens: int) -> float:
        """The nats from which on a tool is wanted by a request of so many tokens."""
        return self.call_margin + self.call_margin_per_token * tokens

    @classmethod
    def read(cls, directory: Path) -> Decoding:
        """From ``decoding.json`` in a model or adapter folder; the defaults where there is none."""
        path = directory / DECODING_FILE
        if not path.exists():
            return cls()
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            strategy = told.get("strategy", cls.strategy)
            numbers = {f.name: float(told.get(f.name, f.default)) for f in fields(cls) if f.name != "strategy"}
        except (OSError, ValueError, TypeError, AttributeError) as e:
            raise ModelNotUsable(f"{path} cannot be read ({e}); export it again with the weights") from None
        if strategy not in get_args(Strategy) or not 0 <= numbers["abstain_share"] <= 1:
            raise ModelNotUsable(f"{path}: strategy is one of {get_args(Strategy)}, abstain_share lies in 0…1")
        for name, number in numbers.items():
            if not isfinite(number) or (name == "overlap_power" and number <= 0):
                raise ModelNotUsable(f"{path}: {name} cannot be {number}; export it again with the weights")
        return cls(strategy, **numbers)


def _between(figure: float, least: float, whole: float) -> float:
    """How far a figure is on its way from ``least`` to ``whole``, 0 to 1."""
    return min(1.0, max(0.0, (figure - least) / (whole - least)))
