"""Documents whose questions want one sentence or several: read whole, for tests apart, and counted as they are told."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, get_args

import pytest

from adapters.training import passages, several
from adapters.training.words import Side
from state import Language
from tests.adapters.tiny import passage

LANGUAGES: tuple[Language, ...] = get_args(Language)
SIDES: tuple[Side, ...] = get_args(Side)


class Telling:
    """Cites what it is told to, whatever is asked."""

    def __init__(self, *quotes: str) -> None:
        self.quotes = quotes

    def reply(self, messages: Any, *, passages: Any, tools: Any, language: str) -> dict[str, Any]:
        return {"citations": [{"quote": quote} for quote in self.quotes]}


@pytest.mark.parametrize("language", LANGUAGES)
def test_documents_of_each_side_are_whole_and_nothing_is_on_both(language: Language) -> None:
    sides = {side: several.documents(language, side) for side in SIDES}
    assert [len(sides[side]) for side in SIDES] == [60, 30]
    for told in (*sides["train"], *sides["test"]):
        assert 5 <= len(told.sentences) <= 13, told.title
        assert 4 <= len(told.questions) <= 6, told.title
        assert all(place < len(told.sentences) for _, places in told.questions for place in places), told.title
        assert not any(line.startswith(("#", "?", "+")) for line in told.sentences), told.title
    lines = {side: {x for told in some for x in told.sentences} for side, some in sides.items()}
    assert not lines["train"] & lines["test"]
    taught = {line for told in passages.passages(language, "train") for line in told.sentences}
    assert not taught & (lines["train"] | lines["test"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_question_is_asked_over_its_document_and_two_others(language: Language) -> None:
    questions = several.asked(language, "test", seed=3)
    assert {len(one.answers) for one in questions} >= {1, 2, 3}
    for one in questions:
        assert len({passage["document"] for passage in one.passages}) == several.DOCUMENTS
        cut = {p["text"][s:e]: p["document"] for p in one.passages for s, e in p["sentences"]}
        assert len({cut[answer] for answer in one.answers}) == 1
        by_document = sorted((p["document"], p["start"], p["end"]) for p in one.passages)
        assert all(a[0] != b[0] or a[2] < b[1] for a, b in pairwise(by_document))
    assert len(several.asked(language, "test", n=7, seed=3)) == 7


def test_each_answer_counts_once() -> None:
    one = several.Question("q", "en", [], frozenset({"A."}))
    two = several.Question("q", "en", [], frozenset({"A.", "B."}))
    found = several.Together()
    for question, told in ((one, ["A."]), (one, ["A.", "C."]), (two, ["A.", "B."]), (two, ["A.", "C."]), (two, [])):
        found.add(question.answers, frozenset(told))
    assert found == several.Together(
        one=2, one_alone=1, one_told=2, several=3, several_alone=1, several_told=1, wanted=6, wanted_told=3, others=2
    )
    text = "The garage is below. The pool is open."
    asked = one._replace(text="Is the pool open?", passages=[passage(text)], answers=frozenset({text[21:]}))
    assert several.measure(Telling(text[21:], "B."), [asked, two], []) == several.Together(
        one=1, one_told=1, several=1, wanted=2, wanted_told=1, others=2,
        words={"overlap": 1, "BM25": 1, "runs of letters": 1},
    )  # fmt: skip
    assert "| 1/2 | 1/2 | overlap 0/2 | 1/3 | 0/3 | 3/6 | 2 |" in several.table({"made up": found})
