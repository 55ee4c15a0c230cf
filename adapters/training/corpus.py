"""The stream of training items: which kinds, in which shares. Deterministic by seed and index.

``python -m adapters.training corpus --n 5`` prints items. Nothing is written to disk: a stream is made while it is
read, and starts again at any index at the same cost per item.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from adapters.prompt import EOT, Turn, asked, lead
from adapters.training import facts, frontdesk, generic, grid, passages, qa, trades
from adapters.training import invented as invented_tools
from adapters.training.examples import Alike, Choice, Example, Said
from adapters.training.words import Side, Values
from state import Language

_SIDE: Final[Side] = "train"
Item = Said | Choice
Draw = Callable[[random.Random, Language], Item]
Shares = list[tuple[float, Draw]]
QUESTIONS: Final = 0.2  # share of the words of a question among what is missing: they are few and soon known
STRANGE: Final = 0.2  # share of the questions without an answer that are about the wide world
SENTENCES_SHOWN: Final = 3
HOUSES: Final = 0.05
"""The share of guests' questions to the network of words that name a house: names are taken out before it is asked."""
NEAR_SHOWN: Final = 3
"""Wrong sentences beside an alike question. Those of others in its step are wrong, too, where they do not answer it,
but of no house that the question names: who sees one alone learns that a shared name is an answer."""
WISHES: Final = 0.22
"""Share of the requests for a tool among what is likened."""
GUESTS: Final = 0.33
GRIDS: Final = 0.03
TRADES: Final = 0.24
PASSAGES: Final = 0.12
"""Shares of the questions of guests, of a grid, of other trades, and of passages; the others are about facts of a
made-up world."""
INVENTED: Final = 0.4
"""Share of the requests whose tool is invented; of the others ``DISGUISED`` are for the desk's under other names."""
DISGUISED: Final = 0.25
TOOLS_SHOWN: Final = 2


def _said(rng: random.Random, example: Example) -> Said:
    call_or_line, *question = example.said()
    return question[0] if question and rng.random() < QUESTIONS else call_or_line


def named(said: Said) -> Said:
    """The same, and the tool's name is the model's own to say: it is what tells the tools of a desk apart best."""
    (first, _), *rest = said.pieces
    return Said(said.prompt, [(first, True), *rest]) if len(rest) > 1 else said


def desk(rng: random.Random, language: Language) -> Said:
    """A call of the front desk, or a question about what is missing."""
    return named(_said(rng, frontdesk.example(rng, _SIDE, language, rng.choice(("call", "call", "call", "ask")))))


def told(rng: random.Random, language: Language) -> Said:
    """A result that is told."""
    return _said(rng, frontdesk.example(rng, _SIDE, language, "tell"))


def disguised(rng: random.Random, language: Language) -> Said:
    """A call of the front desk under other names."""
    kind = rng.choice(("call", "call", "ask"))
    return _said(rng, generic.disguised(rng, frontdesk.example(rng, _SIDE, language, kind)))


def invented(rng: random.Random, language: Language) -> Said:
    """A call of an invented tool."""
    return named(_said(rng, invented_tools.calls(rng, _SIDE, language, missing=rng.random() < 0.3)))


def _wish(rng: random.Random, language: Language) -> Example:
    """A request for a tool: of the front desk, of the desk under other names, or an invented one."""
    if rng.random() < INVENTED:
        return invented_tools.calls(rng, _SIDE, language, missing=rng.random() < 0.3)
    made = frontdesk.example(rng, _SIDE, language, rng.choice(("call", "call", "ask")))
    return generic.disguised(rng, made) if rng.random() < DISGUISED else made


def request(rng: random.Random, language: Language) -> Choice:
    """Which tool a request is for, among some others and some sentences."""
    made = _wish(rng, language)
    lines = qa.evidence_only(Values(rng, _SIDE, language), rng.choice((0, 1, 2)))
    return shortened(rng, made.choice(), [(line, False) for line in lines])


def _guest(rng: random.Random, language: Language, houses: float = 0.25) -> Example:
    abstain, size = rng.random() < 0.25, rng.choice((2, 3, 4, 5))
    made = qa.example(rng, _SIDE, language, abstain=abstain, size=size, houses=houses)
    if made.n == 0 and rng.random() < STRANGE:
        made = replace(made, turns=[Turn("user", facts.question(rng, _SIDE, language))], group="", also=())
    return made


def question(rng: random.Random, language: Language) -> Choice:
    """Which sentence answers a question of a guest, if any."""
    made = _guest(rng, language)
    tools = [(line, True) for line, _ in frontdesk.purposes(rng, rng.choice((0, 0, 1, 2)))]
    return shortened(rng, made.choice(), tools)


def aspect(rng: random.Random, language: Language) -> Choice:
    """Which sentence tells the wanted aspect of the wanted thing, if any."""
    made = grid.example(rng, _SIDE, language, abstain=rng.random() < 0.25)
    tools = [(line, True) for line, _ in frontdesk.purposes(rng, rng.choice((0, 0, 1)))]
    return shortened(rng, made.choice(), tools)


def fact(rng: random.Random, language: Language) -> Choice:
    """Which sentence tells what is asked: of an invented thing, or one that shares rare words with the question."""
    if rng.random() < 0.3:
        return shortened(rng, generic.overlap(rng, _SIDE, language).choice(), [])
    if rng.random() < 0.3:
        return shortened(rng, generic.facts(rng, _SIDE, language, abstain=rng.random() < 0.25).choice(), [])
    return told_fact(rng, language)


def told_fact(rng: random.Random, language: Language) -> Choice:
    """Which sentence of a made-up world answers, if any."""
    return shortened(rng, facts.example(rng, _SIDE, language, abstain=rng.random() < 0.25).choice(), [])


def likened(rng: random.Random, language: Language) -> Alike:
    """A request and what it may be for: a tool, or a sentence for a question. The network of words is taught with it.

    Questions are of a guest, of a grid, of another trade, of a passage, or of a made-up world; some have tools among
    what is wrong.
    """
    kind, abstain = rng.random(), rng.random() < 0.2
    if kind < WISHES:
        return _wished(rng, language)
    if kind < WISHES + GUESTS:
        whole = _guest(rng, language, HOUSES)
    elif kind < WISHES + GUESTS + GRIDS:
        whole = grid.example(rng, _SIDE, language, abstain=abstain)
    elif kind < WISHES + GUESTS + GRIDS + TRADES:
        whole = trades.example(rng, _SIDE, language, abstain=abstain)
    elif kind < WISHES + GUESTS + GRIDS + TRADES + PASSAGES:
        whole = passages.example(rng, _SIDE, language, abstain=abstain)
    else:
        whole = facts.example(rng, _SIDE, language, abstain=abstain)
    made = whole.alike()
    each = list(zip(made.candidates, made.told, strict=True))
    right = each[made.right - 1 : made.right] if made.right else []
    wrong = [one for i, one in enumerate(each) if i + 1 != made.right]
    near = rng.sample(wrong, k=min(len(wrong), NEAR_SHOWN))
    tools = [(line, "") for line, _ in frontdesk.purposes(rng, rng.choice((0, 0, 2)))]
    shown = [*right, *near, *tools]
    return made._replace(
        candidates=[text for text, _ in shown], told=tuple(about for _, about in shown), right=len(right)
    )


def _wished(rng: random.Random, language: Language) -> Alike:
    """Which of all tools a request is for; some are invented ones, or the desk's under other names."""
    made = _wish(rng, language)
    request, candidates, right = made.choice()
    lines = qa.evidence_only(Values(rng, _SIDE, language), rng.choice((0, 1, 2)))
    return Alike(request, [text for text, _ in candidates] + lines, right)


def shortened(rng: random.Random, whole: Choice, more: list[tuple[str, bool]]) -> Choice:
    """The right candidate among a few wrong ones: each costs a reading."""
    right = whole.candidates[whole.right - 1 : whole.right] if whole.right else []
    wrong = [c for i, c in enumerate(whole.candidates) if i + 1 != whole.right]
    tools = rng.sample(wrong, k=min(len(wrong), TOOLS_SHOWN if wrong and wrong[0][1] else SENTENCES_SHOWN))
    candidates = [*right, *tools, *more]
    rng.shuffle(candidates)
    return Choice(whole.request, candidates, candidates.index(right[0]) + 1 if right else 0)


def read(draw: Callable[[random.Random, Language], Choice]) -> Draw:
    """The same, but as plain language: the request after what is right. It teaches most of what a choice needs."""
    return lambda rng, language: reading(draw(rng, language))


def reading(choice: Choice) -> Said:
    """The request after the right candidate, or after nothing."""
    text, tool = choice.candidates[choice.right - 1] if choice.right else ("", False)
    return Said(lead(text, tool=tool), [(asked(choice.request).removesuffix(EOT), True)])


SHARES: Final[Shares] = [
    (0.26, desk), (0.03, told), (0.07, disguised), (0.14, invented),
    (0.09, request), (0.09, question), (0.03, aspect), (0.07, fact),
    (0.05, read(request)), (0.06, read(question)), (0.03, read(aspect)), (0.08, read(fact)),
]  # fmt: skip
SHORT_FIRST: Final = 3_000
SHORT_CHARS: Final = 250  # of which some 100 are the marks of two turns
FRONT_DESK: Final[Shares] = [(0.9, desk), (0.1, told)]


def item_at(seed: int, index: int, shares: Shares | None = None) -> Item:
    """The item number ``index`` of a stream; the same for ever for the same arguments.

    The first ``SHORT_FIRST`` items are short: the same is learned from fewer tokens.
    """
    rng = random.Random(f"item:{seed}:{index}")
    language: Language = "ko" if rng.random() < 0.5 else "en"
    draws, weights = zip(*((draw, share) for share, draw in shares or SHARES), strict=True)
    item: Item = rng.choices(draws, weights)[0](rng, language)
    if index < SHORT_FIRST and isinstance(item, Said):
        while isinstance(item, Choice) or len(texts_of(item)[0]) > SHORT_CHARS:
            item = rng.choices(draws, weights)[0](rng, language)
    return item


def texts_of(item: Item) -> list[str]:
    """Everything that the model reads of an item."""
    if isinstance(item, Said):
        return [item.prompt + "".join(text for text, _ in item.pieces)]
    return [lead(text, tool=tool) + asked(item.request) for text, tool in [("", False), *item.candidates]]
