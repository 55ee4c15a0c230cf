"""Questions about the documents of many trades: offices, shops, public services, works. Korean and English.

The grammars are ``grammar/trades.<family>.<language>.txt``, blocks as in ``qa``: each sentence of a block answers each
of its questions, and the other aspects of its topic do not. What a team's own documents are about is told in other
words than a front desk's, and nobody asks in the words of the document. One topic in eight is for tests only, with all
that is said about it.
"""

from __future__ import annotations

import random
from functools import cache
from typing import Final, NamedTuple
from zlib import crc32

from adapters.prompt import Turn
from adapters.training import qa
from adapters.training.examples import Example, Kind
from adapters.training.qa import GRAMMAR, Block
from adapters.training.words import Side, Values
from state import Language

FAMILIES: Final = ("office", "shop", "public", "works", "home", "firm")
KEPT_OUT: Final = 8
"""One topic in so many is for tests only, and one passage (``training.passages``)."""
SHOWN: Final = (2, 3, 4, 5, 6, 8)
NEAR: Final = 0.6
"""How often another aspect of the same topic stands among what is wrong."""


class Trade(NamedTuple):
    """The blocks of a family of trades that one side sees, in file order."""

    family: str
    blocks: tuple[Block, ...]


def for_tests(name: str) -> bool:
    """Whether a topic, or the passage of a title, is for tests only."""
    return crc32(name.encode()) % KEPT_OUT == 0


@cache
def trades(language: Language, side: Side) -> tuple[Trade, ...]:
    """All trades of a language."""
    read = ((family, qa.read_blocks(GRAMMAR / f"trades.{family}.{language}.txt")) for family in FAMILIES)
    return tuple(
        Trade(family, tuple(b for b in blocks if for_tests(b.topic) == (side == "test"))) for family, blocks in read
    )


def example(rng: random.Random, side: Side, language: Language, *, abstain: bool = False) -> Example:
    """A question with sentences of its trade: one answers it, or (``abstain``) none does.

    ``slice`` names the trade: what another trade's document says may answer as well.
    """
    v = Values(rng, side, language)
    trade = rng.choice(trades(language, side))
    block = rng.choice(trade.blocks)
    some = qa.distractors(v, block, rng.choice(SHOWN) - (not abstain), same_topic=NEAR, among=trade.blocks)
    rng.shuffle(some)
    at = rng.randint(0, len(some))
    if not abstain:
        some.insert(at, (qa.sentence(v, block), block))
    asked = [Turn("user", qa.question(v, block))]
    kind: Kind = "abstain" if abstain else "choose"
    return Example(
        kind, f"trades {trade.family}", language, asked, [], [line for line, _ in some], n=0 if abstain else at + 1,
        group=f"{language}:{block.name}", told=[f"{language}:{b.name}" for _, b in some],
    )  # fmt: skip


__all__ = ["FAMILIES", "Trade", "example", "for_tests", "trades"]
