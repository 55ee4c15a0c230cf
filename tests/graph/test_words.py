"""Drafts, questions and evidence through the graph: what is said, and what is asked before it is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unicodedata import normalize

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from dojang.settings import SAMPLE
from graph import AgentGraph
from tests.graph.parts import (
    Rules,
    Script,
    asks,
    calls,
    deps,
    says,
)
from tests.graph.talk import CONFIG, contradicting, decide, later, ran, say, values, waiting
from tools.policy import load_policy


def test_a_missing_argument_is_asked_for_and_the_answer_goes_on(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {})), calls(("book", {"room": "7"})), says("Booked."))
    say(graph, parts, "방 예약해 주세요")
    [(_, review)] = waiting(graph)
    assert review["kind"] == "clarification"
    assert "room" in review["question"]
    decide(graph, parts, {"type": "answer", "by": "guest", "message": "7호실"})
    assert isinstance(parts.generator, Script)
    assert parts.generator.seen[1][-1].content == "7호실"
    decide(graph, parts, "approve")
    assert ran(parts) == [("book", {"room": "7"})]


def test_decomposed_korean_is_read_like_any_other_and_stays_one_message(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {})), says("네."))
    message = HumanMessage(normalize("NFD", "방 예약해 주세요"), id="h1", name="kim", additional_kwargs={"x": 1})
    graph.invoke({"messages": [message]}, CONFIG, context=parts, durability="sync")
    assert (values(graph)["question"], values(graph)["language"]) == ("방 예약해 주세요", "ko")
    decide(graph, parts, {"type": "answer", "by": "guest", "message": normalize("NFD", "칠호실")})
    assert isinstance(parts.generator, Script)
    seen = [one for one in parts.generator.seen[1] if one.type == "human"]
    assert [one.text for one in seen] == ["방 예약해 주세요", "칠호실"]
    assert (seen[0].id, seen[0].name, seen[0].additional_kwargs) == ("h1", "kim", {"x": 1})


def test_decomposed_korean_with_two_readings_is_asked_about_and_the_answer_goes_on(graph: AgentGraph) -> None:
    parts = deps(says("네. [1]"))
    say(graph, parts, normalize("NFD", "그거 취소해 줘"))
    decide(graph, parts, {"type": "answer", "by": "guest", "message": normalize("NFD", "조식")})
    assert values(graph)["question"] == "그거 취소해 줘 (조식)"
    assert [one.text for one in values(graph)["messages"] if one.type == "human"] == ["그거 취소해 줘", "조식"]


def test_the_text_of_a_message_in_parts_is_composed_and_its_other_parts_stay(graph: AgentGraph) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    text = {"type": "text", "text": normalize("NFD", "이게 뭔가요?")}
    parts = deps(says("의자입니다. [1]"))
    graph.invoke({"messages": [HumanMessage([text, image])]}, CONFIG, context=parts, durability="sync")
    assert values(graph)["messages"][0].content == [{"type": "text", "text": "이게 뭔가요?"}, image]


def test_the_model_may_ask_a_question_of_its_own(graph: AgentGraph) -> None:
    parts = deps(asks("Which day?", "book.day"), says("Fine. [1]"))
    say(graph, parts)
    [(_, review)] = waiting(graph)
    assert review["question"] == "Which day?"
    assert review["allowed"] == ["answer", "reject"]
    decide(graph, parts, {"type": "reject", "by": "kim"})
    assert values(graph).get("answer") is None
    assert graph.get_state(CONFIG).next == ()


def test_a_draft_under_approval_is_not_in_the_conversation_until_it_is_released(graph: AgentGraph) -> None:
    parts = deps(says("We refund all. [1]"), rules=Rules(table={"answer": "ask"}))
    say(graph, parts)
    assert not any(isinstance(m, AIMessage) for m in values(graph)["messages"])
    [(_, review)] = waiting(graph)
    assert review["kind"] == "approval"
    decide(graph, parts, {"type": "edit", "by": "kim", "edited_args": {"text": "We refund half. [1]"}})
    assert values(graph)["messages"][-1].content == "We refund half. [1]"
    assert "edited by kim" in values(graph)["answer"]["speaker"]


def test_a_rejected_draft_is_written_anew(graph: AgentGraph) -> None:
    parts = deps(says("A"), says("B"), rules=Rules(table={"answer": "ask"}))
    say(graph, parts)
    decide(graph, parts, {"type": "reject", "by": "kim", "reason": "too blunt"})
    [(_, review)] = waiting(graph)
    assert review["action"]["args"] == {"text": "B"}
    decide(graph, parts, "approve")
    texts = [m.content for m in values(graph)["messages"] if isinstance(m, AIMessage)]
    assert texts == ["B"]


def test_a_forbidden_draft_is_withheld(graph: AgentGraph) -> None:
    say(graph, deps(says("secret"), rules=Rules(table={"answer": "forbid"})))
    assert "secret" not in str(values(graph)["messages"][-1].content)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ({"type": "approve"}, "At 11. [1]"),
        ({"type": "edit", "edited_args": {"text": "At noon."}}, "At noon."),
        ({"type": "answer", "message": "It is 12 now."}, "At 12. [2]"),
        ({"type": "reject", "reason": "unclear"}, "At 12. [2]"),
    ],
)
def test_contradictory_evidence_is_corrected_by_a_person(graph: AgentGraph, said: Any, answer: str) -> None:
    parts = replace(
        deps(says("At 11. [1]"), says("At 12. [2]"), shelf=contradicting()),
        policy=load_policy(SAMPLE / "policy.toml"),
    )
    say(graph, parts, "When is check-out?")
    [(_, review)] = waiting(graph)
    assert review["kind"] == "correction"
    assert "11:00" in review["summary"]
    assert "12:00" in review["summary"]
    decide(graph, parts, said)
    if said["type"] in ("answer", "reject"):
        decide(graph, parts, "approve")
    assert values(graph)["answer"]["text"] == answer


def test_what_a_tool_did_is_told_without_evidence(graph: AgentGraph) -> None:
    parts = replace(
        deps(calls(("look", {"room": "1"})), says("It is free."), shelf=[]), policy=load_policy(SAMPLE / "policy.toml")
    )
    say(graph, parts)
    assert values(graph)["answer"]["text"] == "It is free."


def test_an_answer_on_weak_evidence_waits_and_an_abstention_does_not(graph: AgentGraph) -> None:
    rules = load_policy(SAMPLE / "policy.toml")
    say(graph, replace(deps(says("", abstained=True), shelf=[]), policy=rules), "When is breakfast?")
    assert values(graph)["answer"]["abstained"]
    say(graph, replace(deps(says("At 7."), shelf=[]), policy=rules), "When is breakfast?")
    [(_, review)] = waiting(graph)
    assert review["kind"] == "correction"


def test_words_with_two_readings_are_asked_about(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "next friday"})), calls(("book", {"room": "7"})), says("Booked."))
    say(graph, parts, "다음 주 금요일 방 예약해 주세요")
    [(_, review)] = waiting(graph)
    assert review["kind"] == "clarification"
    assert "next friday" in review["question"]
    assert "뜻이 둘 이상" in review["summary"]
    decide(graph, parts, {"type": "answer", "message": "7호실"})
    decide(graph, parts, "approve")
    assert ran(parts) == [("book", {"room": "7"})]


def test_an_expired_draft_is_not_sent(graph: AgentGraph) -> None:
    parts = deps(says("We refund all. [1]"), rules=Rules(table={"answer": "ask"}))
    say(graph, parts)
    later(parts, 11)
    decide(graph, parts, {"type": "expire"})
    assert values(graph).get("answer") is None
    assert graph.get_state(CONFIG).next == ()
