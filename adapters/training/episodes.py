"""Several decisions over one prompt: the same tools and evidence, one request after another.

Reading a prompt costs most of the tokens, deciding costs few. So the base is trained on episodes: a full prompt, the
answer, then more turns of the user over the same tools and the same numbered sentences, each with its answer. The
first decision of an episode has exactly the layout of serving; the later ones stand further from their evidence.
Most draws are short: a sentence and a question after it. How likely a sentence makes the question is what
sentences are chosen by (``adapters.prompt.lead``).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

from adapters.prompt import EOT, HEADER_END, HEADER_START, Turn
from adapters.training import frontdesk, generic, qa
from adapters.training.examples import Example
from adapters.training.words import Side, Values, fill
from state import Language, ToolSpec

_SIDE: Final[Side] = "train"
Draw = Callable[[random.Random, Language], list[Example]]


class Reading(NamedTuple):
    """A sentence, or none, and the question that is asked after it."""

    sentence: str
    question: str


def continuation(example: Example) -> str:
    """The turns of a later decision, from the user's on, up to where the assistant speaks."""
    turns = "".join(f"{HEADER_START}{t.role}{HEADER_END}\n\n{t.content}{EOT}" for t in example.turns)
    return f"{turns}{HEADER_START}assistant{HEADER_END}\n\n"


def desk(rng: random.Random, language: Language) -> list[Example]:
    """Up to eight turns over one list of tools: requests, and questions that no tool answers (``[0]``)."""
    tools, v = frontdesk.offered(rng), Values(rng, _SIDE, language)
    episode = []
    for _ in range(rng.choice((1, 2, 3, 4, 6, 8))):
        if rng.random() < 0.7:
            episode.append(_request(rng, language, tools))
            continue
        said = qa.question(v, rng.choice(qa.blocks(language)))
        if rng.random() < 0.15:
            said = fill(rng, rng.choice(qa.OFF_TOPIC[language]), **qa.slots(v))
        episode.append(Example("abstain", "", language, "2026-01-01", [Turn("user", said)], tools, []))
    return episode


def _request(rng: random.Random, language: Language, tools: list[ToolSpec]) -> Example:
    """A request for one of ``tools``."""
    names = {t["name"] for t in tools}
    while True:
        made = frontdesk.example(rng, _SIDE, language, rng.choice(("call", "call", "ask")))
        needed = made.name or made.about.partition(".")[0]
        if needed in names:
            answered = [i for i, t in enumerate(made.turns) if t.role == "ipython"]
            turns = made.turns[answered[-1] + 2 :] if answered else made.turns
            return replace(made, tools=tools, turns=turns)


def results(rng: random.Random, language: Language) -> list[Example]:
    """One tool result that is to be told."""
    return [frontdesk.example(rng, _SIDE, language, "result")]


def disguised(draw: Draw) -> Draw:
    """The same episodes under other tool and argument names, one set of names an episode."""

    def drawn(rng: random.Random, language: Language) -> list[Example]:
        episode, seed = draw(rng, language), rng.random()
        return [generic.disguised(random.Random(seed), e) for e in episode]

    return drawn


def invented(rng: random.Random, language: Language) -> list[Example]:
    """Requests for invented tools over one list of them."""
    first = generic.calls(rng, _SIDE, language, missing=rng.random() < 0.3)
    episode = [first]
    for _ in range(rng.choice((0, 1, 2))):
        name = rng.choice([t["name"] for t in first.tools])
        episode.append(generic.calls(rng, _SIDE, language, missing=rng.random() < 0.3, tools=first.tools, name=name))
    return episode


def facts(rng: random.Random, language: Language) -> list[Example]:
    """Questions about invented things."""
    return generic.fact_episode(rng, _SIDE, language)


def overlap(rng: random.Random, language: Language) -> list[Example]:
    """Questions that share words with one sentence."""
    first = generic.overlap(rng, _SIDE, language)
    episode = [first]
    for _ in range(rng.choice((1, 2, 3))):
        n = rng.randrange(len(first.evidence))
        words = first.evidence[n].lower().rstrip(".").split()
        asked = f"{rng.choice(generic.LEADS[language])} {' '.join(rng.sample(words, k=rng.choice((2, 3))))}?"
        episode.append(replace(first, turns=[Turn("user", asked)], n=n + 1))
    return episode


def reading(rng: random.Random, language: Language) -> Reading:
    """A question after the sentence that answers it; sometimes after another or none, to learn what questions are."""
    kind = rng.random()
    if kind < 0.24:
        draw = facts if kind < 0.15 else overlap
        found = rng.choice([e for e in draw(rng, language) if e.n] or [qa.example(rng, _SIDE, language, size=2)])
    else:
        found = qa.example(rng, _SIDE, language, size=rng.choice((1, 2)))
    wrong = [line for i, line in enumerate(found.evidence) if i + 1 != found.n]
    asked, other = found.turns[-1].content, rng.random()
    if other < 0.06:
        return Reading("", asked)
    if other < 0.2 and wrong:
        return Reading(rng.choice(wrong), asked)
    return Reading(found.evidence[found.n - 1], asked)


SHARES: Final[list[tuple[float, Draw | None]]] = [
    (0.50, None), (0.36, desk), (0.05, disguised(desk)), (0.03, results), (0.02, disguised(results)), (0.04, invented),
]  # fmt: skip


def episode_at(seed: int, index: int) -> list[Example] | Reading:
    """The episode number ``index`` of a stream; the same for ever for the same arguments."""
    rng = random.Random(f"episode:{seed}:{index}")
    language: Language = "ko" if rng.random() < 0.5 else "en"
    draw = rng.choices([draw for _, draw in SHARES], weights=[share for share, _ in SHARES])[0]
    if draw is None:
        return reading(rng, language)
    episode = draw(rng, language)
    today = f"2026-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    return [replace(example, today=today) for example in episode]
