"""The graph as its callers see it: input in, pauses and effects out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from graph import AgentGraph, build_graph, state_graph
from state import PassingFault, UserError
from tests.graph.parts import (
    Rules,
    Script,
    Toys,
    calls,
    deps,
    says,
)
from tests.graph.talk import CONFIG, crash_once, decide, ran, say, values, waiting


def test_a_question_is_answered_with_its_citation(graph: AgentGraph) -> None:
    out = say(graph, deps(says("From 7 to 10. [1]")), "아침 식사는 몇 시입니까?")
    assert out["answer"]["text"] == "From 7 to 10. [1]"
    assert out["messages"][-1].response_metadata["citations"][0]["passage"] == "p1"
    assert values(graph)["language"] == "ko"
    assert graph.get_state(CONFIG).next == ()


def test_a_read_runs_without_a_person(graph: AgentGraph) -> None:
    parts = deps(calls(("look", {"room": "101"})), says("It is free. [1]"))
    say(graph, parts)
    assert ran(parts) == [("look", {"room": "101"})]
    assert values(graph)["answer"]["text"] == "It is free. [1]"


def test_a_consequential_call_waits_and_runs_once_as_approved(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "101"})), says("Booked. [1]"))
    say(graph, parts)
    assert ran(parts) == []
    [(_, review)] = waiting(graph)
    assert review["kind"] == "tool"
    assert review["action"]["args"] == {"room": "101"}
    decide(graph, parts, "approve")
    assert ran(parts) == [("book", {"room": "101"})]
    assert values(graph)["answer"]["text"] == "Booked. [1]"


def test_a_rejected_call_never_runs_and_the_model_hears_why(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "101"})), says("It was rejected."))
    say(graph, parts)
    decide(graph, parts, {"type": "reject", "by": "kim", "reason": "wrong room"})
    assert ran(parts) == []
    assert isinstance(parts.generator, Script)
    told = parts.generator.seen[-1][-1]
    assert isinstance(told, ToolMessage)
    assert "wrong room" in str(told.content)
    assert "kim" in str(told.content)


def test_several_calls_have_one_review_each_and_run_after_all_are_decided(graph: AgentGraph) -> None:
    wanted = [("book", {"room": "1"}), ("pay", {"room": "2"}), ("look", {"room": "3"}), ("book", {"room": "4"})]
    parts = deps(calls(*wanted), says("Done."))
    say(graph, parts)
    assert [r["action"]["args"]["room"] for _, r in waiting(graph)] == ["1", "2", "4"]
    [(first, _), *_] = waiting(graph)
    graph.invoke(Command(resume={first: {"type": "approve", "by": "kim"}}), CONFIG, context=parts, durability="sync")
    assert ran(parts) == []
    assert [r["action"]["args"]["room"] for _, r in waiting(graph)] == ["2", "4"]
    still = {iid: {"type": "reject", "by": "lee"} for iid, r in waiting(graph) if r["action"]["args"]["room"] == "2"}
    still |= {iid: {"type": "approve", "by": "lee"} for iid, r in waiting(graph) if r["action"]["args"]["room"] == "4"}
    graph.invoke(Command(resume=still), CONFIG, context=parts, durability="sync")
    assert sorted(args["room"] for _, args in ran(parts)) == ["1", "3", "4"]


def test_an_unknown_tool_is_refused_before_any_review_opens(graph: AgentGraph) -> None:
    parts = deps(calls(("wire_money", {"room": "1"})), says("I cannot do that."))
    say(graph, parts)
    assert waiting(graph) == []
    assert ran(parts) == []
    assert "wire_money" in values(graph)["messages"][-2].content


def test_a_forbidden_call_is_refused(graph: AgentGraph) -> None:
    parts = deps(calls(("pay", {"room": "1"})), says("No."), rules=Rules(table={"pay": "forbid", "answer": "auto"}))
    say(graph, parts)
    assert (waiting(graph), ran(parts)) == ([], [])


def test_a_tool_that_fails_says_so(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "full"})), says("No room."))
    say(graph, parts)
    decide(graph, parts, "approve")
    [outcome] = values(graph)["outcomes"].values()
    assert (outcome["status"], outcome["error"]) == ("failed", "no room is free")


def test_why_a_call_came_to_nothing_is_told_in_the_language_of_the_conversation(graph: AgentGraph) -> None:
    korean = {"no room is free": "빈 객실이 없습니다", "there is no tool wire_money": "없는 도구입니다"}
    parts = deps(calls(("book", {"room": "full"})), calls(("wire_money", {"room": "1"})), says("안 됩니다."))
    parts = replace(parts, told=lambda text, language: f"{korean[text]} ({language})")
    say(graph, parts, "예약해 주세요")
    decide(graph, parts, "approve")
    told = [message.text for message in values(graph)["messages"] if message.type == "tool"]
    assert told == ["실행하지 못했습니다: 빈 객실이 없습니다 (ko)", "호출이 올바르지 않습니다: 없는 도구입니다 (ko)"]
    assert [outcome["error"] for outcome in values(graph)["outcomes"].values()] == [
        "no room is free",
        "호출이 올바르지 않습니다: there is no tool wire_money",
    ]


def test_an_effect_of_unknown_outcome_is_settled_by_a_person_and_not_repeated(graph: AgentGraph) -> None:
    parts = deps(calls(("pay", {"room": "1"})), says("Paid."))
    say(graph, parts)
    crash_once(parts)
    with pytest.raises(PassingFault):
        decide(graph, parts, "approve")
    graph.invoke(None, CONFIG, context=parts, durability="sync")
    [(_, review)] = waiting(graph)
    assert review["kind"] == "in_doubt"
    assert len(ran(parts)) == 1
    decide(graph, parts, "approve")
    assert len(ran(parts)) == 1
    [outcome] = values(graph)["outcomes"].values()
    assert outcome["status"] == "done"


def test_a_transactional_effect_that_committed_before_the_crash_is_not_repeated(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "1"})), says("Booked."))
    say(graph, parts)
    crash_once(parts)
    with pytest.raises(PassingFault):
        decide(graph, parts, "approve")
    assert isinstance(parts.toolbox, Toys)
    [(_, _, key)] = parts.toolbox.ran
    parts.toolbox.known[key] = {
        "key": key,
        "tool": "book",
        "status": "done",
        "result": {"ok": True},
        "error": "",
        "at": "2026-11-22T09:00:00+00:00",
    }
    assert isinstance(parts.policy, Rules)
    parts.policy.version = "policy-2"  # a new rule must not hide what has happened
    graph.invoke(None, CONFIG, context=parts, durability="sync")
    assert len(ran(parts)) == 1
    assert values(graph)["answer"]["text"] == "Booked."


def test_a_loop_of_refused_calls_ends_in_words(graph: AgentGraph) -> None:
    endless = [calls(("wire_money", {"room": "1"})) for _ in range(5)]
    parts = deps(*endless, says("I give up."))
    say(graph, parts)
    assert isinstance(parts.generator, Script)
    assert parts.generator.offered[-1] == []
    assert values(graph)["answer"]["text"] == "I give up."


def test_a_second_turn_starts_with_clean_records_and_keeps_the_conversation(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "1"})), says("Booked."), says("From 7. [1]"))
    say(graph, parts)
    decide(graph, parts, "approve")
    say(graph, parts, "When is breakfast?")
    now = values(graph)
    assert (now["proposals"], now["decisions"], now["outcomes"], now["reviews"]) == ({}, {}, {}, {})
    assert [m.type for m in now["messages"]] == ["human", "ai", "tool", "ai", "human", "ai"]


def test_new_input_on_a_waiting_thread_is_not_taken_and_the_review_stays(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "1"})), says("Booked."))
    say(graph, parts)
    [(_, before)] = waiting(graph)
    out = say(graph, parts, "something else")
    assert before["id"] in out["answer"]["text"]
    assert [m.type for m in values(graph)["messages"]] == ["human", "ai"]
    assert [review for _, review in waiting(graph)] == [before]
    decide(graph, parts, "approve")
    assert ran(parts) == [("book", {"room": "1"})]
    assert values(graph)["answer"]["text"] == "Booked."


def test_new_input_before_an_approved_call_has_run_does_not_lose_it(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "1"})), says("Booked."), says("Hello."))
    say(graph, parts)
    [(interrupt_id, _)] = waiting(graph)
    resume: Any = Command(resume={interrupt_id: {"type": "approve", "by": "kim"}})
    for update in graph.stream(resume, CONFIG, context=parts, durability="sync", stream_mode="updates"):
        if "comply" in update:
            break  # cut off before act
    assert ran(parts) == []
    say(graph, parts, "hello")
    assert ran(parts) == [("book", {"room": "1"})]
    assert say(graph, parts, "hello")["answer"]["text"] == "Hello."


def test_an_empty_message_is_refused(graph: AgentGraph) -> None:
    with pytest.raises(UserError, match="no text"):
        say(graph, deps(), "   ")


def test_ports_can_be_bound_where_no_context_can_be_passed() -> None:
    parts = deps(calls(("book", {"room": "1"})), says("Booked."))
    bound = state_graph(lambda state, thread_id: parts).compile(checkpointer=InMemorySaver())
    bound.invoke({"messages": [HumanMessage("book")]}, CONFIG)
    [interrupt_id] = [i.id for task in bound.get_state(CONFIG).tasks for i in task.interrupts]
    bound.invoke(Command(resume={interrupt_id: {"decisions": [{"type": "approve"}]}}), CONFIG)
    assert ran(parts) == [("book", {"room": "1"})]


def test_no_checkpointer_is_an_error_at_once() -> None:
    with pytest.raises(UserError, match="needs a checkpointer"):
        build_graph(None)


def test_the_same_answer_in_a_later_turn_is_another_review(graph: AgentGraph) -> None:
    parts = deps(says("A"), says("A"), rules=Rules(table={"answer": "ask"}))
    say(graph, parts, "one?")
    [(_, first)] = waiting(graph)
    decide(graph, parts, "approve")
    say(graph, parts, "one?")
    [(_, second)] = waiting(graph)
    assert (first["digest"], second["id"] != first["id"]) == (second["digest"], True)
    assert second["id"] not in parts.decisions.of("t1")


def test_a_model_that_counts_its_calls_anew_gets_each_of_them_decided_and_run(graph: AgentGraph) -> None:
    def call() -> Any:
        wanted = calls(("book", {"room": "1"}))
        assert isinstance(wanted["message"], AIMessage)
        wanted["message"].tool_calls[0]["id"] = "call_0"
        return wanted

    parts = deps(call(), says("Booked."), call(), says("Booked."))
    say(graph, parts)
    decide(graph, parts, "approve")
    assert len(ran(parts)) == 1
    say(graph, parts)
    assert len(waiting(graph)) == 1
    decide(graph, parts, "approve")
    assert len(ran(parts)) == 2
    assert [m.type for m in values(graph)["messages"]] == ["human", "ai", "tool", "ai"] * 2
