"""Several decisions over one prompt: the same tools and evidence, one request after another.

Reading a prompt costs most of the tokens, deciding costs few. So the base is trained on episodes: a full prompt, the
answer, then more turns of the user over the same tools and the same numbered sentences, each with its answer. The
first decision of an episode has exactly the layout of serving; the later ones stand further from their evidence.
Most draws are the short ones: a question and one sentence.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from adapters.prompt import EOT, HEADER_END, HEADER_START, Turn
from adapters.training import frontdesk, generic, qa
from adapters.training.examples import Example
from adapters.training.words import Side, Values, fill
from state import Language, ToolSpec

_SIDE: Final[Side] = "train"
Draw = Callable[[random.Random, Language], list[Example]]


def continuation(example: Example) -> str:
    """The turns of a later decision, from the user's on, up to where the assistant speaks."""
    turns = "".join(f"{HEADER_START}{t.role}{HEADER_END}\n\n{t.content}{EOT}" for t in example.turns)
    return f"{turns}{HEADER_START}assistant{HEADER_END}\n\n"


def hotel(rng: random.Random, language: Language) -> list[Example]:
    """Questions about numbered sentences of unlike blocks, some without an answer, some requests among them."""
    v = Values(rng, _SIDE, language)
    every = list(qa.blocks(language))
    chosen: list[qa.Block] = []
    wanted = rng.choice((2, 3, 4, 6, 8, 10, 12, 14))
    while len(chosen) < wanted:  # neighbours come in runs, as in a document
        at = rng.randrange(len(every))
        chosen += [b for b in every[at : at + rng.choice((1, 2, 3, 4))] if b not in chosen]
    chosen = chosen[:wanted]
    rng.shuffle(chosen)
    lines = [qa.sentence(v, block) for block in chosen]
    tools = frontdesk.offered(rng) if rng.random() < 0.5 else []
    out = []
    for n in rng.sample(range(wanted), k=min(wanted, rng.choice((2, 3, 4, 5)))):
        out.append(_told(language, tools, lines, qa.question(v, chosen[n]), n + 1))
    absent = [b for b in every if b not in chosen]
    for _ in range(rng.choice((0, 1, 1, 2))):
        asked = qa.question(v, rng.choice(absent))
        if rng.random() < 0.25:
            asked = fill(rng, rng.choice(qa.OFF_TOPIC[language]), **qa.slots(v))
        out.append(_told(language, tools, lines, asked, 0))
    if tools:
        out += [_request(rng, language, tools, lines) for _ in range(rng.choice((0, 1, 1)))]
    rng.shuffle(out)
    return out


def _told(language: Language, tools: list[ToolSpec], lines: list[str], asked: str, n: int) -> Example:
    kind = "choose" if n else "abstain"
    return Example(kind, "", language, "2026-01-01", [Turn("user", asked)], tools, lines, n=n)  # type: ignore[arg-type]


def _request(rng: random.Random, language: Language, tools: list[ToolSpec], lines: list[str]) -> Example:
    """A request for one of ``tools``."""
    names = {t["name"] for t in tools}
    while True:
        made = frontdesk.example(rng, _SIDE, language, rng.choice(("call", "call", "ask")))
        needed = made.name or made.about.partition(".")[0]
        if needed in names:
            answered = [i for i, t in enumerate(made.turns) if t.role == "ipython"]
            turns = made.turns[answered[-1] + 2 :] if answered else made.turns
            return replace(made, tools=tools, evidence=lines, turns=turns)


def desk(rng: random.Random, language: Language) -> list[Example]:
    """Requests at the front desk over one list of tools, with sentences about other things half of the time."""
    tools = frontdesk.offered(rng)
    lines = qa.evidence_only(Values(rng, _SIDE, language), rng.choice((1, 2, 4, 6, 8))) if rng.random() < 0.4 else []
    return [_request(rng, language, tools, lines) for _ in range(rng.choice((2, 3, 4)))]


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


def pair(rng: random.Random, language: Language) -> list[Example]:
    """A question and a single sentence: ``[1]`` if it answers, ``[0]`` if not.

    So a sentence is chosen when there are many: each is judged alone, and the surest one wins.
    """
    kind = rng.random()
    if kind < 0.18:
        found = rng.choice(generic.fact_episode(rng, _SIDE, language))
        return [_alone(rng, found)]
    if kind < 0.26:
        return [_alone(rng, rng.choice(overlap(rng, language)))]
    right = rng.random() < 0.45
    found = qa.example(rng, _SIDE, language, abstain=not right, size=2)
    if right:
        return [replace(found, evidence=[found.evidence[found.n - 1]], n=1)]
    if rng.random() < 0.08 or not found.evidence:
        return [replace(found, evidence=found.evidence[:1] or ["-"])]
    return [qa.near_miss(rng, _SIDE, language)]


def _alone(rng: random.Random, example: Example) -> Example:
    """The example with one of its sentences: the right one, or (half of the time) a wrong one."""
    wrong = [line for i, line in enumerate(example.evidence) if i + 1 != example.n]
    if example.n and (rng.random() < 0.5 or not wrong):
        return replace(example, evidence=[example.evidence[example.n - 1]], n=1)
    return replace(example, kind="abstain", evidence=[rng.choice(wrong)], n=0)


SHARES: Final[list[tuple[float, Draw]]] = [
    (0.85, pair), (0.035, hotel), (0.02, disguised(hotel)), (0.05, desk), (0.018, disguised(desk)), (0.004, results),
    (0.003, disguised(results)), (0.02, invented),
]  # fmt: skip


def episode_at(seed: int, index: int) -> list[Example]:
    """The episode number ``index`` of a stream; the same for ever for the same arguments."""
    rng = random.Random(f"episode:{seed}:{index}")
    language: Language = "ko" if rng.random() < 0.5 else "en"
    episode = rng.choices([draw for _, draw in SHARES], weights=[share for share, _ in SHARES])[0](rng, language)
    today = f"2026-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    return [replace(example, today=today) for example in episode]
