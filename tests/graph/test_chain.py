"""The linear baseline: the same retriever and generator, one way through."""

from __future__ import annotations

from unicodedata import normalize

import pytest

from graph import retrieval_chain
from nodes.wording import say
from tests.graph.parts import Script, Shelf, asks, calls, passage, says


def test_a_question_is_answered_with_citations() -> None:
    script = Script([says("From 7 to 10 [1].")])
    answer = retrieval_chain(Shelf([passage()]), script).invoke("When is breakfast? {not a field}")
    assert (answer["text"], answer["abstained"]) == ("From 7 to 10 [1].", False)
    assert [c["passage"] for c in answer["citations"]] == ["p1"]
    assert [p["id"] for p in answer["passages"]] == ["p1"]
    assert script.seen[0][-1].text == "When is breakfast? {not a field}"
    assert script.offered == [[]], "the chain has no tools"


def test_decomposed_korean_is_read_like_any_other() -> None:
    script = Script([says("7시부터입니다 [1].")])
    retrieval_chain(Shelf([passage()]), script).invoke(normalize("NFD", "조식은 언제인가요?"))
    assert script.seen[0][-1].text == "조식은 언제인가요?"


async def test_it_runs_async_and_in_batches() -> None:
    chain = retrieval_chain(Shelf([passage()]), Script([says("one"), says("two"), says("three")]))
    assert (await chain.ainvoke("When?"))["text"] == "one"
    assert sorted(answer["text"] for answer in await chain.abatch(["a", "b"])) == ["three", "two"]


@pytest.mark.parametrize(
    "reply", [asks("Which hotel?"), says("", citations=0), says("x", abstained=True), calls(("book", {}))]
)
def test_what_the_graph_would_ask_about_is_an_abstention(reply: object) -> None:
    answer = retrieval_chain(Shelf([]), Script([reply])).invoke("예약해 주세요")  # type: ignore[list-item]
    assert (answer["abstained"], answer["citations"], answer["text"]) == (True, [], say("no_answer", "ko"))
