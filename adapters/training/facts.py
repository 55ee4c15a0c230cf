"""Questions about facts of a made-up world: people, places, firms, events, things. Korean and English.

The grammars are ``grammar/facts.<language>.txt`` (blocks as in ``qa``), their words ``grammar/words.<language>.txt``.
What makes them hard is what makes real paragraphs hard: several sentences tell of the one that is asked about, and
several tell the same kind of thing of others. Every name is invented; no fact is true but by chance.
"""

# ruff: noqa: E501 - one wording a line reads better than a wrapped one

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import Final

from adapters.prompt import Turn
from adapters.training.examples import Example
from adapters.training.qa import GRAMMAR, Block, read_blocks
from adapters.training.words import DAYS, MONTHS, Side, Values, fill
from state import Language

ENDINGS: Final[dict[Language, list[str]]] = {
    "en": [" Company", " Group", " Institute", " University", " Club", " Society", " Party", " Bank", " School", " Union"],
    "ko": ["회사", "그룹", "연구소", "대학교", "구단", "협회", "당", "은행", "학교", "조합"],
}  # fmt: skip
LEADS: Final[dict[Language, list[str]]] = {
    "en": ["In those years, ", "Later, ", "At first, ", "As a result, ", "However, ", "Today ", "In the end, ", "For this reason, ", "At the time, ", "Meanwhile, ", "After the {X}, ", "During the {X}, "],
    "ko": ["그 무렵 ", "이후 ", "처음에 ", "그 결과 ", "그러나 ", "오늘날 ", "결국 ", "이 때문에 ", "당시 ", "한편 ", "{X} 이후 ", "{X} 동안 "],
}  # fmt: skip
TAILS: Final[dict[Language, list[str]]] = {
    "en": [", which changed the {X}", ", together with {P}", ", as {P} wrote", " and the {X} of {C}", ", unlike most {R}s", ", although the {X} was {J}", " because of the {X}"],
    "ko": [],
}  # fmt: skip


@cache
def vocabulary(language: Language) -> dict[str, list[str]]:
    """Words by kind: ``nouns``, ``people``, ``adjectives``, ``verbs``, ``directions``."""
    found: dict[str, list[str]] = {"nouns": []}
    kind = "nouns"
    groups: list[list[str]] = []
    for line in (GRAMMAR / f"words.{language}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            kind = line[2:]
            found[kind] = []
            continue
        found[kind] += line.split()
        if kind == "nouns":
            groups.append(line.split())
    found["people"] = groups[2]
    return found


@cache
def blocks(language: Language) -> tuple[Block, ...]:
    """All blocks of a language; nothing is held out here: what counts is measured on real questions."""
    return tuple(read_blocks(GRAMMAR / f"facts.{language}.txt"))


@dataclass
class World:
    """Who and what a text tells of. The same slots in a question and its answer mean the same."""

    v: Values

    def fresh(self) -> dict[str, str]:
        """Values for all slots of the grammar."""
        r, v, words = self.v.rng, self.v, vocabulary(self.v.language)
        year = r.randint(1100, 2020)
        slots = {
            "A": v.guest() if r.random() < 0.8 else self.name(), "P": v.guest(), "C": self.place(), "C2": self.place(),
            "O": self.firm(), "O2": self.firm(), "W": self.name(), "W2": self.name(), "Y": str(year),
            "Y2": str(year + r.randint(1, 40)), "D": self.day(year), "N": str(self.number()), "N2": str(r.randint(2, 99)),
            "N3": str(r.randint(100, 999)), "J": r.choice(words["adjectives"]), "R": r.choice(words["people"]),
            "V": r.choice(words["verbs"]), "K": r.choice(words["directions"]),
        }  # fmt: skip
        for key in ("X", "X2", "X3"):
            slots[key] = self.noun()
        return slots

    def number(self) -> int:
        """Small and large ones."""
        r = self.v.rng
        return r.choice((r.randint(2, 20), r.randint(10, 99), r.randint(100, 999), r.randint(1_000, 9_999)))

    def noun(self) -> str:
        """A common word, sometimes an invented one."""
        r = self.v.rng
        return r.choice(vocabulary(self.v.language)["nouns"]) if r.random() < 0.85 else self.v.word()

    def name(self) -> str:
        """A name of something: invented, or a common word that names it."""
        r = self.v.rng
        word = self.v.word() if r.random() < 0.6 else r.choice(vocabulary(self.v.language)["nouns"])
        if self.v.language == "ko":
            return word
        adjective = r.choice(vocabulary("en")["adjectives"]).title() + " " if r.random() < 0.4 else ""
        return adjective + word.title()

    def place(self) -> str:
        """A place, real or invented."""
        return self.v.city()

    def firm(self) -> str:
        """An organisation."""
        r = self.v.rng
        core = r.choice((self.name, self.place))()
        return (
            ("the " if self.v.language == "en" and r.random() < 0.5 else "") + core + r.choice(ENDINGS[self.v.language])
        )

    def day(self, year: int) -> str:
        """A date in words."""
        r = self.v.rng
        m, d = r.randint(1, 12), r.randint(1, 28)
        if self.v.language == "ko":
            return f"{year}년 {m}월 {d}일" if r.random() < 0.7 else f"{m}월 {d}일"
        return r.choice(
            (f"{MONTHS[m - 1]} {d}, {year}", f"{d} {MONTHS[m - 1]} {year}", f"{r.choice(DAYS)}, {MONTHS[m - 1]} {d}")
        )


def _sentence(v: Values, block: Block, slots: dict[str, str]) -> str:
    r = v.rng
    form = r.choice(block.sentences)
    if v.language == "en" and r.random() < 0.2:
        form = form.rstrip(".") + r.choice(TAILS["en"]) + "."
    text = fill(r, form, **slots)
    if r.random() < 0.2:
        lead = fill(r, r.choice(LEADS[v.language]) + "#", **World(v).fresh())[:-1]
        text = lead + text
    return text[0].upper() + text[1:]


def _question(v: Values, block: Block, slots: dict[str, str]) -> str:
    r = v.rng
    text = fill(r, r.choice(block.questions), **slots)
    text = text[0].upper() + text[1:]
    return text.rstrip("?") if r.random() < 0.15 else text


def example(rng: random.Random, side: Side, language: Language, *, abstain: bool = False) -> Example:
    """A question about a fact among sentences about the same and about others; or (``abstain``) about one untold."""
    v = Values(rng, side, language)
    world = World(v)
    every = blocks(language)
    block = rng.choice(every)
    slots, keys = world.fresh(), ("A", "C", "O", "W", "X")
    shared = {key: slots[key] for key in keys}
    lines = []
    same = [b for b in every if b.topic == block.topic and b is not block]
    for other in rng.sample(same, k=min(len(same), rng.choice((1, 2, 3)))):
        lines.append(_sentence(v, other, {**world.fresh(), **shared}))  # the same one, something else
    for _ in range(rng.choice((0, 1, 2))):
        lines.append(_sentence(v, block, world.fresh()))  # another one, the same
    for _ in range(rng.choice((0, 1, 2))):
        lines.append(_sentence(v, rng.choice(every), world.fresh()))
    asked = _question(v, block, slots)
    rng.shuffle(lines)
    n = 0
    if not abstain:
        n = rng.randint(1, len(lines) + 1)
        lines.insert(n - 1, _sentence(v, block, slots))
    return Example("choose" if n else "abstain", "facts", language, [Turn("user", asked)], [], lines, n=n)


def question(rng: random.Random, side: Side, language: Language) -> str:
    """A question about something that no front desk knows."""
    v = Values(rng, side, language)
    return _question(v, rng.choice(blocks(language)), World(v).fresh())
