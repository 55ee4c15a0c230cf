"""Single training examples: which kinds, in which shares, with which surroundings. Deterministic by seed.

The adapter and the tokenizer learn from these; the base reads ``episodes``.

``python -m adapters.training corpus --n 5`` prints examples. Nothing is written to disk: a stream is made while
it is read, and starts again at any index at the same cost per example.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final, Literal

from adapters.training import frontdesk, generic, qa
from adapters.training.examples import Example
from adapters.training.words import Side, Values
from state import Language

Stage = Literal["base", "adapter"]
Draw = Callable[[random.Random, Language], Example]

_TRAIN: Final[Side] = "train"
SHARES: Final[dict[Stage, list[tuple[float, str, Draw]]]] = {
    "base": [
        (0.14, "call", lambda r, x: dressed(r, frontdesk.example(r, _TRAIN, x, "call"))),
        (0.06, "ask", lambda r, x: dressed(r, frontdesk.example(r, _TRAIN, x, "ask"))),
        (0.10, "disguised call", lambda r, x: dressed(r, generic.front_desk(r, _TRAIN, x, "call"))),
        (0.04, "disguised ask", lambda r, x: dressed(r, generic.front_desk(r, _TRAIN, x, "ask"))),
        (0.03, "disguised result", lambda r, x: generic.front_desk(r, _TRAIN, x, "result")),
        (0.08, "invented call", lambda r, x: dressed(r, generic.calls(r, _TRAIN, x))),
        (0.03, "invented ask", lambda r, x: dressed(r, generic.calls(r, _TRAIN, x, missing=True))),
        (0.16, "hotel question", lambda r, x: tooled(r, qa.example(r, _TRAIN, x))),
        (0.16, "disguised hotel question", lambda r, x: tooled(r, qa.example(r, _TRAIN, x), disguise=True)),
        (0.07, "hotel abstention", lambda r, x: tooled(r, qa.example(r, _TRAIN, x, abstain=True))),
        (0.07, "fact", lambda r, x: generic.facts(r, _TRAIN, x)),
        (0.02, "fact abstention", lambda r, x: generic.facts(r, _TRAIN, x, abstain=True)),
        (0.04, "overlap", lambda r, x: generic.overlap(r, _TRAIN, x)),
    ],
    "adapter": [
        (0.38, "call", lambda r, x: frontdesk.example(r, _TRAIN, x, "call")),
        (0.14, "ask", lambda r, x: frontdesk.example(r, _TRAIN, x, "ask")),
        (0.06, "result", lambda r, x: frontdesk.example(r, _TRAIN, x, "result")),
        (0.20, "question", lambda r, x: replace(tooled(r, qa.example(r, _TRAIN, x, abstain=True)), evidence=[])),
    ],
}


def dressed(rng: random.Random, example: Example) -> Example:
    """The example with sentences that were retrieved for its words but answer nothing."""
    if rng.random() < 0.5:
        return example
    return replace(
        example, evidence=qa.evidence_only(Values(rng, _TRAIN, example.language), rng.choice((1, 2, 3, 4, 6, 8, 12)))
    )


def tooled(rng: random.Random, example: Example, *, disguise: bool = False) -> Example:
    """A question among offered tools, after unrelated turns."""
    today = f"2026-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    if rng.random() < 0.35:
        return replace(example, today=today)
    v = Values(rng, _TRAIN, example.language)
    full = replace(example, today=today, tools=frontdesk.offered(rng), turns=[*frontdesk.past(v), *example.turns])
    return generic.disguised(rng, full) if disguise else full


def example_at(seed: int, index: int, stage: Stage) -> Example:
    """The example number ``index`` of a stream; the same for ever for the same arguments."""
    rng = random.Random(f"{stage}:{seed}:{index}")
    language: Language = "ko" if rng.random() < 0.5 else "en"
    shares = SHARES[stage]
    draw = rng.choices([s[2] for s in shares], weights=[s[0] for s in shares])[0]
    return draw(rng, language)


def stream(seed: int, stage: Stage, start: int = 0) -> Iterator[Example]:
    """Examples from ``start`` on, without end."""
    while True:
        yield example_at(seed, start, stage)
        start += 1
