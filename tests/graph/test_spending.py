"""What a thread cost, and what the model did not read: both are told, whatever kind of turn it was."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from graph import AgentGraph
from nodes.spending import spent_with
from state import Generation, Spent
from tests.graph.parts import asks, calls, deps, says
from tests.graph.talk import decide, say, values, waiting


def counted(reply: Generation, read: int, written: int, **told: Any) -> Generation:
    message = reply["message"].model_copy(
        update={
            "usage_metadata": {"input_tokens": read, "output_tokens": written, "total_tokens": read + written},
            "response_metadata": told,
        }
    )
    return Generation(**{**reply, "message": message})


def test_every_turn_counts_once_over_the_whole_thread(graph: AgentGraph) -> None:
    parts = deps(
        counted(asks("Which?", "book.room"), 10, 1, cost=0.5),
        counted(calls(("book", {"room": "7"})), 20, 2, cost=0.25),
        counted(says("Booked."), 30, 3),
        says("Hello."),
    )
    say(graph, parts)
    decide(graph, parts, {"type": "answer", "by": "guest", "message": "7"})
    decide(graph, parts, "approve")
    say(graph, parts, "hi again")
    script, silent = values(graph)["spent"][-1], 4
    assert script == Spent(speaker="script@none", calls=silent, input_tokens=60, output_tokens=6, cost=0.75)


def test_what_did_not_fit_is_said_with_an_answer_a_call_and_a_question(graph: AgentGraph) -> None:
    left_out = {"messages": 6, "evidence": 0, "context": 900}
    parts = deps(
        counted(asks("Which room?", "book.room"), 1, 1, left_out=left_out),
        counted(calls(("book", {"room": "7"})), 1, 1, left_out=left_out),
        counted(says("Booked."), 1, 1, left_out={**left_out, "messages": 0, "evidence": 3}),
    )
    say(graph, parts, "book a room")
    [(_, review)] = waiting(graph)
    assert review["question"] == (
        "Which room? (The oldest 6 messages of this conversation no longer fit and were not read.)"
    )
    decide(graph, parts, {"type": "answer", "by": "guest", "message": "7"})
    [call] = [m for m in values(graph)["messages"] if isinstance(m, AIMessage) and m.tool_calls]
    assert call.text == "(The oldest 6 messages of this conversation no longer fit and were not read.)"
    decide(graph, parts, "approve")
    assert values(graph)["answer"]["text"] == (
        "Booked.\n(The last 3 sentences that were found did not fit and were not read.)"
    )


def test_in_korean_too(graph: AgentGraph) -> None:
    said = counted(says("네."), 1, 1, left_out={"messages": 2, "evidence": 0, "context": 9})
    parts = deps(said)
    say(graph, parts, "조식은 몇 시인가요?")
    assert "메시지 2개는 분량을 넘어" in values(graph)["answer"]["text"]


REPLIES = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 99), st.one_of(st.none(), st.floats(0, 9))), max_size=12
)


@given(REPLIES)
def test_the_total_is_the_sum_and_as_long_as_there_are_speakers(replies: list[Any]) -> None:
    total: list[Spent] = []
    for speaker, tokens, cost in replies:
        usage = {"input_tokens": tokens, "output_tokens": 1, "total_tokens": tokens + 1}
        told = {} if cost is None else {"cost": cost}
        message = AIMessage("", usage_metadata=usage, response_metadata=told)
        total = spent_with(total, speaker, message)
    assert {row["speaker"] for row in total} == {speaker for speaker, _, _ in replies}
    for row in total:
        mine = [(tokens, cost) for speaker, tokens, cost in replies if speaker == row["speaker"]]
        costs = [cost for _, cost in mine if cost is not None]
        assert (row["calls"], row["input_tokens"], row["output_tokens"]) == (
            len(mine), sum(tokens for tokens, _ in mine), len(mine)
        )  # fmt: skip
        assert row["cost"] is None if not costs else abs(row["cost"] - sum(costs)) < 1e-6
