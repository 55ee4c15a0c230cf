"""What counts as right, and what is listed as gone wrong."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage

from adapters.training.evaluate import FALSE, evaluate, examples, judge
from state import Generation

SLICE = "question, sentence chosen"


class Telling:
    """Cites the first sentences that it is shown, or none."""

    def __init__(self, sentences: int) -> None:
        self.sentences = sentences

    def reply(self, messages: Any, *, passages: Any, tools: Any, language: str) -> Generation:
        cited: list[Any] = [{"quote": passage["text"]} for passage in passages[: self.sentences]]
        return Generation(
            message=AIMessage("words"), citations=cited, clarification="", about="", abstained=not cited, speaker="test"
        )


@pytest.mark.parametrize(("sentences", "false"), [(0, 3), (1, 0)])
def test_what_went_wrong_is_listed_and_nothing_else(sentences: int, false: int) -> None:
    report = evaluate(Telling(sentences), n=3, seed=1, names=[SLICE])
    for language, tally in report.tallies[FALSE].items():
        assert (tally.right, len(tally.failures)) == (false, false), language
    for tally in report.tallies[SLICE].values():
        assert len(tally.failures) == tally.asked - tally.right


def test_an_answer_of_more_than_what_was_asked_for_is_not_right() -> None:
    example = next(e for e in examples(SLICE, "en", 40, 1) if e.n == 1 and len(e.evidence) > 1)
    passages = [{"text": sentence} for sentence in example.evidence]
    alone, more = (Telling(n).reply([], passages=passages, tools=[], language="en") for n in (1, 2))
    assert judge(example, alone).right
    assert not judge(example, more).right
