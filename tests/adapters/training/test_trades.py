"""Questions of many trades: which topics are kept out, what stands beside an answer, whether the grammars are whole."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from adapters.training import trades
from adapters.training.qa import Block
from adapters.training.words import Side
from state import Language

LANGUAGES: tuple[Language, ...] = ("en", "ko")
SIDES: tuple[Side, ...] = ("train", "test")


def every(language: Language, side: Side) -> list[Block]:
    return [block for trade in trades.trades(language, side) for block in trade.blocks]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_topic_is_on_one_side_with_all_that_is_said_of_it(language: Language) -> None:
    taught, kept = ({block.topic for block in every(language, side)} for side in SIDES)
    assert not taught & kept
    assert 0.05 < len(kept) / len(taught | kept) < 0.2
    lines = [
        {line for block in every(language, side) for line in (*block.questions, *block.sentences)} for side in SIDES
    ]
    assert not lines[0] & lines[1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_block_can_be_asked_and_answered(language: Language) -> None:
    names = Counter(
        (trade.family, b.topic, b.aspect)
        for side in SIDES
        for trade in trades.trades(language, side)
        for b in trade.blocks
    )
    assert len(names) > 1_000
    assert max(names.values()) == 1, "a block that stands twice would be wrong for itself"
    for side in SIDES:
        for block in every(language, side):
            assert len(block.questions) >= 2, block
            assert len(block.sentences) >= 2, block


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_answer_stands_among_others_of_its_trade_or_is_not_there(language: Language) -> None:
    for n in range(300):
        rng = random.Random(n)
        made = trades.example(rng, "test" if n % 2 else "train", language, abstain=n % 3 == 0)
        assert (made.n == 0) == (n % 3 == 0) == (made.kind == "abstain")
        assert 1 <= len(made.evidence) <= 8
        assert 0 <= made.n <= len(made.evidence)
        assert made.slice in {f"trades {family}" for family in trades.FAMILIES}
        text = made.turns[0].content + " ".join(made.evidence)
        assert not set("{}|") & set(text), text
        assert made == trades.example(random.Random(n), "test" if n % 2 else "train", language, abstain=n % 3 == 0)
