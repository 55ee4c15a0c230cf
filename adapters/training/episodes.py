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

from adapters.prompt import EOT, HEADER_END, HEADER_START, Turn, request_of, signature
from adapters.training import frontdesk, generic, qa
from adapters.training.examples import Example
from adapters.training.words import Side
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
    """One to three requests for the same tool, which is the only one in the prompt."""
    first = frontdesk.example(rng, _SIDE, language, rng.choice(("call", "call", "ask")))
    name = first.name or first.about.partition(".")[0]
    spec = next(t for t in first.tools if t["name"] == name)
    more = [_request(rng, language, spec) for _ in range(rng.choice((0, 0, 1, 1, 2)))]
    return [replace(e, tools=[spec], turns=_last(e.turns)) for e in (first, *more)]


def _request(rng: random.Random, language: Language, spec: ToolSpec) -> Example:
    return frontdesk.example(rng, _SIDE, language, rng.choice(("call", "call", "ask")), spec=spec)


def _last(turns: list[Turn]) -> list[Turn]:
    """The turns of the present request, without earlier talk."""
    answered = [i for i, t in enumerate(turns) if t.role == "ipython"]
    return turns[answered[-1] + 2 :] if answered else turns


def results(rng: random.Random, language: Language) -> list[Example]:
    """One tool result that is to be told."""
    return [replace(frontdesk.example(rng, _SIDE, language, "result"), tools=[])]


def disguised(draw: Draw) -> Draw:
    """The same episodes under other tool and argument names, one set of names an episode."""

    def drawn(rng: random.Random, language: Language) -> list[Example]:
        episode, seed = draw(rng, language), rng.random()
        return [generic.disguised(random.Random(seed), e) for e in episode]

    return drawn


def invented(rng: random.Random, language: Language) -> list[Example]:
    """A request for an invented tool, the only one in the prompt, sometimes two."""
    first = generic.calls(rng, _SIDE, language, missing=rng.random() < 0.3)
    name = first.name or first.about.partition(".")[0]
    tools = [t for t in first.tools if t["name"] == name]
    more = [
        generic.calls(rng, _SIDE, language, missing=rng.random() < 0.3, tools=tools, name=name)
        for _ in range(rng.choice((0, 1)))
    ]
    return [replace(e, tools=tools) for e in (first, *more)]


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
    """A question after the sentence that answers it, or a request after the signature of its tool.

    Sometimes after another one or none, to learn what people say at all.
    """
    kind = rng.random()
    if kind < 0.35:
        right, wrong, asked = _signatures(rng, language)
    else:
        draw = facts if kind < 0.43 else overlap if kind < 0.48 else None
        found = next((e for e in (draw(rng, language) if draw else []) if e.n), None)
        found = found or qa.example(rng, _SIDE, language, size=rng.choice((1, 2)))
        wrong = [line for i, line in enumerate(found.evidence) if i + 1 != found.n]
        right, asked = found.evidence[found.n - 1], found.turns[-1].content
    other = rng.random()
    if other < 0.06:
        return Reading("", asked)
    return Reading(rng.choice(wrong) if wrong and other < 0.2 else right, asked)


def _signatures(rng: random.Random, language: Language) -> tuple[str, list[str], str]:
    """The signature that a request is for, those of other tools, and the request."""
    made = frontdesk.example(rng, _SIDE, language, rng.choice(("call", "call", "ask")))
    if rng.random() < 0.3:
        made = generic.disguised(rng, made)
    name = made.name or made.about.partition(".")[0]
    lines = {t["name"]: signature(t) for t in made.tools}
    return lines.pop(name), list(lines.values()), request_of(_last(made.turns))


SHARES: Final[list[tuple[float, Draw | None]]] = [
    (0.45, None), (0.36, desk), (0.08, disguised(desk)), (0.03, results), (0.02, disguised(results)), (0.06, invented),
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
