"""Passages of many sentences with questions that one of them answers: articles, handbooks, notices. Korean and English.

``grammar/passages.<language>.txt`` has a title (``#``), the sentences in order, and questions (``?``) with the number
of the sentence that answers. Everything in them is invented. They ask as somebody asks who has read the passage:
mostly in other words, often with the words of the sentence before, while a neighbour shares more with the question than
the one that answers. One passage in eight is for tests only.

``grammar/plain.<language>.txt`` has passages of the same form that are asked as real ones are, in their own words for
the most part. Nothing is taught with those: on them it was chosen how words count that nobody taught, and
``dojang adapters evaluate`` asks them beside the others.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import accumulate
from typing import Final, NamedTuple

from adapters.prompt import Turn
from adapters.training.examples import Example, Kind
from adapters.training.qa import GRAMMAR
from adapters.training.real_qa import PARAGRAPHS, Question, paragraph
from adapters.training.trades import for_tests
from adapters.training.words import Side
from state import Language

SHOWN: Final = (3, 4, 6, 8)
"""Sentences among which one is asked for."""
STRANGE: Final = 0.4
"""Share of the questions without an answer that are asked of another passage."""


class Told(NamedTuple):
    """A passage; of each question the place of the sentence that answers it, from 0."""

    title: str
    sentences: tuple[str, ...]
    questions: tuple[tuple[str, int], ...]


@cache
def passages(language: Language, side: Side) -> tuple[Told, ...]:
    """Those that one side sees, in file order."""
    return tuple(told for told in _all(f"passages.{language}.txt") if for_tests(told.title) == (side == "test"))


@cache
def plain(language: Language) -> tuple[Told, ...]:
    """Those that are asked in their own words, which nothing is taught with, in file order."""
    return tuple(_all(f"plain.{language}.txt"))


def _all(file: str) -> Iterator[Told]:
    text = (GRAMMAR / file).read_text(encoding="utf-8")
    return (_read(part.splitlines()) for part in text.split("\n\n") if part.strip())


def _read(lines: list[str]) -> Told:
    title, *rest = (line.strip() for line in lines if line.strip())
    asked = [line.removeprefix("? ").partition(" ") for line in rest if line.startswith("? ")]
    sentences = tuple(line for line in rest if not line.startswith("? "))
    return Told(title.removeprefix("# "), sentences, tuple((question, int(n) - 1) for n, _, question in asked))


def example(rng: random.Random, side: Side, language: Language, *, abstain: bool = False) -> Example:
    """A question with sentences of its passage in their order: one answers it, or (``abstain``) none does."""
    told = among = rng.choice(passages(language, side))
    question, right = rng.choice(told.questions)
    if abstain and rng.random() < STRANGE:
        among = rng.choice([other for other in passages(language, side) if other is not told])
        others = list(range(len(among.sentences)))
    else:
        others = [i for i in range(len(among.sentences)) if i != right]
    shown = sorted(rng.sample(others, k=min(rng.choice(SHOWN) - (not abstain), len(others))) + [right] * (not abstain))
    kind: Kind = "abstain" if abstain else "choose"
    return Example(
        kind, "passages", language, [Turn("user", question)], [], [among.sentences[i] for i in shown],
        n=0 if abstain else shown.index(right) + 1, group=f"{told.title}.{right}",
        told=[f"{among.title}.{i}" for i in shown],
    )  # fmt: skip


def asked(some: Sequence[Told], language: Language, *, n: int, seed: int) -> list[Question]:
    """Up to ``n`` questions of some passages, each over its passage and two others, as ``real_qa`` measures them."""
    every = [(told, question, right) for told in some for question, right in told.questions]
    rng = random.Random(f"passages:{seed}")
    found = []
    for told, question, right in rng.sample(every, k=min(n, len(every))):
        shown = [told, *rng.sample([other for other in some if other is not told], k=PARAGRAPHS - 1)]
        rng.shuffle(shown)
        each = [paragraph(one.title, one.title, " ".join(one.sentences), _places(one), language) for one in shown]
        found.append(Question(question, language, each, told.title, _places(told)[right]))
    return found


def _places(told: Told) -> list[tuple[int, int]]:
    """[start, end) of each sentence, where a space stands between two."""
    ends = list(accumulate((len(sentence) + 1 for sentence in told.sentences), initial=0))
    return [(start, start + len(sentence)) for start, sentence in zip(ends, told.sentences, strict=False)]


__all__ = ["Told", "asked", "example", "passages", "plain"]
