"""The graph as its callers see it: input in, pauses and effects out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import is_invalid_resume
from langgraph.types import Command

from dojang.settings import SAMPLE
from graph import AgentGraph, build_graph, state_graph
from nodes.door import rule
from nodes.ports import Deps
from state import Passage, PassingFault, Review, UserError
from tests.graph.parts import (
    NOW,
    FixedClock,
    MemoryDecisions,
    Rules,
    Script,
    Toys,
    asks,
    calls,
    deps,
    passage,
    says,
    spec,
)
from tools.policy import load_policy

CONFIG: Any = {"configurable": {"thread_id": "t1", "__pregel_strict_resume": True}}


@pytest.fixture
def graph() -> AgentGraph:
    return build_graph(InMemorySaver())


def say(graph: AgentGraph, parts: Deps, text: str = "book a room") -> dict[str, Any]:
    return graph.invoke({"messages": [HumanMessage(text)]}, CONFIG, context=parts, durability="sync")


def waiting(graph: AgentGraph) -> list[tuple[str, Review]]:
    """(interrupt id, review) of every open review."""
    return [(i.id, i.value["review"]) for task in graph.get_state(CONFIG).tasks for i in task.interrupts]


def decide(graph: AgentGraph, parts: Deps, *answers: Any) -> dict[str, Any]:
    """Answer the open reviews in order; a plain string is a decision type."""
    pairs = zip(waiting(graph), answers, strict=True)
    resume = {iid: {"type": a, "by": "kim"} if isinstance(a, str) else a for (iid, _), a in pairs}
    return graph.invoke(Command(resume=resume), CONFIG, context=parts, durability="sync")


def ran(parts: Deps) -> list[tuple[str, dict[str, Any]]]:
    assert isinstance(parts.toolbox, Toys)
    return [(name, args) for name, args, _ in parts.toolbox.ran]


def values(graph: AgentGraph) -> dict[str, Any]:
    return graph.get_state(CONFIG).values


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


def test_an_edit_runs_with_the_edited_arguments(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "101"})), says("Booked."))
    say(graph, parts)
    decide(graph, parts, {"type": "edit", "by": "kim", "edited_args": {"room": "102"}})
    assert ran(parts) == [("book", {"room": "102"})]


def test_an_edit_into_a_stricter_tier_is_asked_again(graph: AgentGraph) -> None:
    rules = Rules(tier_of=lambda s: 3 if s["args"].get("room") == "suite" else 1)
    parts = deps(calls(("book", {"room": "101"})), says("Booked."), rules=rules)
    say(graph, parts)
    decide(graph, parts, {"type": "edit", "by": "kim", "edited_args": {"room": "suite"}})
    [(_, review)] = waiting(graph)
    assert review["tier"] == 3
    assert review["action"]["args"] == {"room": "suite"}
    assert ran(parts) == []
    decide(graph, parts, "approve")
    assert ran(parts) == [("book", {"room": "suite"})]


def test_an_edit_into_a_forbidden_call_never_runs(graph: AgentGraph) -> None:
    class Strict(Rules):
        def judge(self, subject_id: str, subject: Any) -> Any:
            verdict = super().judge(subject_id, subject)
            return {**verdict, "outcome": "forbid"} if subject["args"].get("room") == "vault" else verdict

    parts = deps(calls(("book", {"room": "101"})), says("No."), rules=Strict())
    say(graph, parts)
    decide(graph, parts, {"type": "edit", "by": "kim", "edited_args": {"room": "vault"}})
    assert ran(parts) == []
    assert values(graph)["answer"]["text"] == "No."


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
    ("answer", "why"),
    [
        ({"type": "approve", "digest": "sha256:other"}, "changed since"),
        ({"type": "approve", "review_id": "rv_other"}, "rv_other"),
        ({"type": "answer", "message": "yes"}, "cannot be decided"),
        ({"type": "edit", "edited_args": {"room": 5}}, "must be text"),
        ({"type": "edit", "edited_args": {"rooom": "5"}}, "rooom"),
        ({"type": "edit"}, "whole argument object"),
        ({"type": "approve", "by": 7}, "must be text"),
        ({"decisions": [{"type": "approve"}, {"type": "approve"}]}, "exactly one"),
        (
            {"decisions": [{"type": "edit", "edited_action": {"name": "pay", "args": {"room": "1"}}}]},
            "may not change the tool",
        ),
        ("yes please", "object with a type"),
        ([], "exactly one"),
    ],
)
def test_a_wrong_decision_is_refused_stored_nowhere_and_the_right_one_still_works(
    graph: AgentGraph, answer: Any, why: str
) -> None:
    parts = deps(calls(("book", {"room": "101"})), says("Booked."))
    say(graph, parts)
    [(interrupt_id, _)] = waiting(graph)
    with pytest.raises(Exception, match=why) as caught:
        graph.invoke(Command(resume={interrupt_id: answer}), CONFIG, context=parts, durability="sync")
    assert is_invalid_resume(caught.value)
    assert isinstance(parts.decisions, MemoryDecisions)
    assert parts.decisions.stored == {}
    decide(graph, parts, "approve")
    assert ran(parts) == [("book", {"room": "101"})]


@pytest.mark.parametrize(
    "wire",
    [
        {"decisions": [{"type": "edit", "edited_action": {"name": "book", "args": {"room": "9"}}}]},
        [{"type": "edit", "args": {"action": "book", "args": {"room": "9"}}}],
        {"type": "edit", "edited_args": {"room": "9"}},
    ],
)
def test_every_wire_form_of_an_edit_means_the_same(graph: AgentGraph, wire: Any) -> None:
    parts = deps(calls(("book", {"room": "101"})), says("Booked."))
    say(graph, parts)
    decide(graph, parts, wire)
    assert ran(parts) == [("book", {"room": "9"})]


def test_somebody_elses_decision_wins_and_the_second_is_told(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "101"})), says("Rejected."))
    say(graph, parts)
    [(interrupt_id, review)] = waiting(graph)
    parts.decisions.record(
        "t1",
        {
            "review_id": review["id"],
            "digest": review["digest"],
            "type": "reject",
            "by": "lee",
            "at": "2026-11-22T09:00:00+00:00",
            "reason": "",
            "edited_args": None,
            "message": "",
            "dwell_ms": None,
            "channel": "cli",
        },
    )
    with pytest.raises(Exception, match="lee has already decided"):
        graph.invoke(Command(resume={interrupt_id: {"type": "approve", "by": "kim"}}), CONFIG, context=parts)
    graph.invoke(Command(resume={interrupt_id: {"type": "reject", "by": "lee"}}), CONFIG, context=parts)
    assert ran(parts) == []


def _asked_again(graph: AgentGraph, parts: Deps, old: Review) -> Review:
    """The review that a changed call opened: another one, nothing has run, and its approval runs the call once."""
    assert ran(parts) == []
    [(_, review)] = waiting(graph)
    assert (review["action"]["args"], review["kind"]) == (old["action"]["args"], "tool")
    assert review["digest"] != old["digest"]
    with pytest.raises(Exception, match="changed since"):
        decide(graph, parts, {"type": "approve", "digest": old["digest"]})
    decide(graph, parts, "approve")
    assert len(ran(parts)) == 1
    return review


def test_a_changed_policy_between_approval_and_execution_asks_again(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "101"})), says("Booked."))
    say(graph, parts)
    [(_, old)] = waiting(graph)
    assert isinstance(parts.policy, Rules)
    parts.policy.version = "policy-2"
    decide(graph, parts, "approve")
    assert _asked_again(graph, parts, old)["policy_version"] == "policy-2"
    assert values(graph)["answer"]["text"] == "Booked."


def test_a_changed_policy_asks_again_with_the_edited_arguments(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "101"})), says("Booked."))
    say(graph, parts)
    assert isinstance(parts.policy, Rules)
    parts.policy.version = "policy-2"
    decide(graph, parts, {"type": "edit", "by": "kim", "edited_args": {"room": "102"}})
    assert ran(parts) == []
    decide(graph, parts, "approve")
    assert ran(parts) == [("book", {"room": "102"})]


def test_a_policy_that_forbids_by_now_refuses_what_was_approved(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "101"})), says("Forbidden."))
    say(graph, parts)
    assert isinstance(parts.policy, Rules)
    parts.policy.version, parts.policy.table["book"] = "policy-2", "forbid"
    decide(graph, parts, "approve")
    assert (waiting(graph), ran(parts)) == ([], [])
    assert values(graph)["answer"]["text"] == "Forbidden."


def test_what_changes_at_the_very_instant_of_the_effect_does_not_run(graph: AgentGraph) -> None:
    parts = deps(calls(("look", {"room": "1"}), ("book", {"room": "101"})), says("It changed."))
    assert isinstance(parts.policy, Rules)
    rules, toys = parts.policy, parts.toolbox
    assert isinstance(toys, Toys)
    say(graph, parts)

    def change(name: str) -> None:  # comply has looked, act has not
        rules.version = "policy-2"

    toys.crash = change
    decide(graph, parts, "approve")
    assert ran(parts) == [("look", {"room": "1"})]
    assert values(graph)["answer"]["text"] == "It changed."


def test_a_changed_schema_asks_again(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "101"})), says("Booked."))
    say(graph, parts)
    [(_, old)] = waiting(graph)
    assert isinstance(parts.toolbox, Toys)
    parts.toolbox.specs = [spec("book", "write", version="v2")]
    decide(graph, parts, "approve")
    assert _asked_again(graph, parts, old)["action"]["schema_version"] == "v2"


def test_a_tool_that_is_gone_by_now_is_refused(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "101"})), says("Gone."))
    say(graph, parts)
    assert isinstance(parts.toolbox, Toys)
    parts.toolbox.specs = []
    decide(graph, parts, "approve")
    assert ran(parts) == []


def test_a_tool_that_fails_says_so(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "full"})), says("No room."))
    say(graph, parts)
    decide(graph, parts, "approve")
    [outcome] = values(graph)["outcomes"].values()
    assert (outcome["status"], outcome["error"]) == ("failed", "no room is free")


def _crash_once(parts: Deps) -> None:
    assert isinstance(parts.toolbox, Toys)
    toys = parts.toolbox

    def crash(name: str) -> None:
        toys.crash = lambda name: None
        raise PassingFault("the line went dead")

    toys.crash = crash


def test_an_effect_of_unknown_outcome_is_settled_by_a_person_and_not_repeated(graph: AgentGraph) -> None:
    parts = deps(calls(("pay", {"room": "1"})), says("Paid."))
    say(graph, parts)
    _crash_once(parts)
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
    _crash_once(parts)
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
    bound = state_graph(lambda: parts).compile(checkpointer=InMemorySaver())
    bound.invoke({"messages": [HumanMessage("book")]}, CONFIG)
    [interrupt_id] = [i.id for task in bound.get_state(CONFIG).tasks for i in task.interrupts]
    bound.invoke(Command(resume={interrupt_id: {"decisions": [{"type": "approve"}]}}), CONFIG)
    assert ran(parts) == [("book", {"room": "1"})]


def test_no_checkpointer_is_an_error_at_once() -> None:
    with pytest.raises(UserError, match="needs a checkpointer"):
        build_graph(None)


def _contradicting() -> list[Passage]:
    return [
        passage("Check-out is at 11:00."),
        {**passage("Check-out is at 12:00.", id="p2"), "document": "other.md"},
    ]


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
        deps(says("At 11. [1]"), says("At 12. [2]"), shelf=_contradicting()),
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


def _later(parts: Deps, minutes: int) -> None:
    assert isinstance(parts.clock, FixedClock)
    parts.clock.at = NOW + timedelta(minutes=minutes)


def test_an_expired_review_is_denied_by_nobody_and_too_late_to_approve(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "1"})), says("It expired."))
    say(graph, parts)
    [(interrupt_id, review)] = waiting(graph)
    _later(parts, 11)
    with pytest.raises(Exception, match="expired at"):
        decide(graph, parts, "approve")
    assert parts.decisions.of("t1")[review["id"]]["type"] == "expire"
    graph.invoke(Command(resume={interrupt_id: {"type": "expire"}}), CONFIG, context=parts)
    assert ran(parts) == []
    [outcome] = values(graph)["outcomes"].values()
    assert (outcome["status"], "nobody" in outcome["error"]) == ("refused", True)
    assert values(graph)["answer"]["text"] == "It expired."


def test_nobody_can_let_a_review_expire_before_its_deadline(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "1"})), says("Booked."))
    say(graph, parts)
    with pytest.raises(Exception, match="is not due before"):
        decide(graph, parts, {"type": "expire", "by": "mallory"})
    decide(graph, parts, "approve")
    assert ran(parts) == [("book", {"room": "1"})]


def test_a_decision_recorded_in_time_is_released_however_late(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "1"})), says("Booked."))
    say(graph, parts)
    [(interrupt_id, review)] = waiting(graph)
    stored = rule(review, {"type": "approve", "by": "kim"}, parts)
    _later(parts, 10_000)
    graph.invoke(Command(resume={interrupt_id: stored}), CONFIG, context=parts)
    assert ran(parts) == [("book", {"room": "1"})]


def test_an_expired_draft_is_not_sent(graph: AgentGraph) -> None:
    parts = deps(says("We refund all. [1]"), rules=Rules(table={"answer": "ask"}))
    say(graph, parts)
    _later(parts, 11)
    decide(graph, parts, {"type": "expire"})
    assert values(graph).get("answer") is None
    assert graph.get_state(CONFIG).next == ()


def test_an_effect_in_doubt_never_expires(graph: AgentGraph) -> None:
    parts = deps(calls(("pay", {"room": "1"})), says("Paid."))
    say(graph, parts)
    _crash_once(parts)
    with pytest.raises(PassingFault):
        decide(graph, parts, "approve")
    graph.invoke(None, CONFIG, context=parts)
    _later(parts, 1_000_000)
    with pytest.raises(Exception, match="is not due"):
        decide(graph, parts, {"type": "expire"})
    decide(graph, parts, "approve")
    assert len(ran(parts)) == 1


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
