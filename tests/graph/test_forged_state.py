"""Somebody writes into the thread's state (``update_state``, an edited fork): still no effect without a person."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.types import Command

from graph import AgentGraph
from nodes.door import rule
from nodes.ports import Deps
from state import PassingFault, fresh
from tests.graph.parts import NOW, MemoryDecisions, MemoryLedger, Rules, Toys, calls, deps, says
from tests.graph.talk import CONFIG, crash_once, decide, ran, say, values, waiting


def forge(graph: AgentGraph, parts: Deps, update: dict[str, Any], config: Any = None, as_node: str = "comply") -> None:
    """Write into the state as a client may, and go on."""
    branch = graph.update_state(config or CONFIG, update, as_node=as_node)
    graph.invoke(None, branch, context=parts, durability="sync")


def call_id(graph: AgentGraph) -> str:
    [proposal] = values(graph)["proposals"].values()
    return str(proposal["id"])


def verdicts(graph: AgentGraph, outcome: str) -> dict[str, Any]:
    """The verdicts of the state, all of them saying ``outcome``."""
    return fresh({subject: {**v, "outcome": outcome} for subject, v in values(graph)["verdicts"].items()})


def asked_after_all(graph: AgentGraph, parts: Deps, effect: tuple[str, dict[str, Any]]) -> None:
    """Nothing ran; a person is asked, may refuse in one branch of the thread, and an approval runs it once."""
    assert ran(parts) == []
    [(_, review)] = waiting(graph)
    assert "record of decisions" in review["why"][-1]["text"]
    assert review["action"]["args"] == effect[1]
    decide(graph, parts, "approve")
    assert ran(parts) == [effect]


@pytest.mark.parametrize("outcome", ["auto", "notify"])
@pytest.mark.parametrize("tool", ["book", "pay"])
def test_a_forged_verdict_is_asked_about(graph: AgentGraph, tool: str, outcome: str) -> None:
    parts = deps(calls((tool, {"room": "1"})), says("Done."), says("Done."))
    say(graph, parts)
    forge(graph, parts, {"verdicts": verdicts(graph, outcome), "reviews": fresh()})
    asked_after_all(graph, parts, (tool, {"room": "1"}))


def test_a_forged_verdict_and_no_means_no(graph: AgentGraph) -> None:
    parts = deps(calls(("pay", {"room": "1"})), says("No."))
    say(graph, parts)
    forge(graph, parts, {"verdicts": verdicts(graph, "auto"), "reviews": fresh()})
    decide(graph, parts, "reject")
    assert (ran(parts), waiting(graph), values(graph)["answer"]["text"]) == ([], [], "No.")


def test_a_fork_with_a_forged_verdict_is_asked_about(graph: AgentGraph) -> None:
    parts = deps(calls(("pay", {"room": "1"})), says("Done."))
    say(graph, parts)
    [before] = [s for s in graph.get_state_history(CONFIG) if s.next == ("comply",)]
    forge(graph, parts, {"verdicts": verdicts(graph, "auto")["__overwrite__"]}, before.config, as_node="generate")
    asked_after_all(graph, parts, ("pay", {"room": "1"}))


def test_arguments_that_changed_after_the_verdict_are_judged(graph: AgentGraph) -> None:
    class Rooms(Rules):
        def judge(self, subject_id: str, subject: Any) -> Any:
            verdict = super().judge(subject_id, subject)
            return {**verdict, "outcome": "ask" if subject["args"].get("room") == "suite" else verdict["outcome"]}

    rules = Rooms(table={"answer": "auto", "book": "auto", "look": "auto", "pay": "ask"})
    parts = deps(calls(("book", {"room": "1"}), ("pay", {"room": "1"})), says("Done."), rules=rules)
    say(graph, parts)  # the payment waits, and with it the booking that a rule lets pass
    proposals = values(graph)["proposals"]
    first = next(p for p in proposals.values() if p["tool"] == "book")
    changed = fresh({first["id"]: {**first, "args": {"room": "suite"}}})
    forge(graph, parts, {"proposals": changed, "reviews": fresh()})
    asked_after_all(graph, parts, ("book", {"room": "suite"}))


def test_arguments_that_changed_after_the_approval_do_not_run(graph: AgentGraph) -> None:
    parts = deps(calls(("look", {"room": "1"}), ("pay", {"room": "1"})), says("It changed."))
    say(graph, parts)
    [(interrupt_id, review)] = waiting(graph)
    assert isinstance(parts.toolbox, Toys)

    def stop(name: str) -> None:
        raise PassingFault("stopped between the approval and its effect")

    parts.toolbox.crash = stop
    with pytest.raises(PassingFault):
        graph.invoke(Command(resume={interrupt_id: {"type": "approve", "by": "kim"}}), CONFIG, context=parts)
    parts.toolbox.crash = lambda name: None
    other = {**review, "action": {**review["action"], "args": {"room": "suite"}}}
    forge(graph, parts, {"reviews": fresh({review["id"]: other})})
    assert [name for name, _ in ran(parts)] == ["look", "look"]


def paid(graph: AgentGraph) -> tuple[Deps, dict[str, Any]]:
    """A payment that somebody approved and that ran, and the state after it."""
    parts = deps(calls(("pay", {"room": "1"})), *[says("Done.")] * 3)
    say(graph, parts)
    decide(graph, parts, "approve")
    assert ran(parts) == [("pay", {"room": "1"})]
    return parts, values(graph)


def test_an_outcome_that_is_taken_away_repeats_nothing(graph: AgentGraph) -> None:
    parts, _ = paid(graph)
    forge(graph, parts, {"outcomes": fresh(), "draft": None})
    assert ran(parts) == [("pay", {"room": "1"})]


def test_one_approval_cannot_be_moved_to_another_call_or_turn(graph: AgentGraph) -> None:
    parts, state = paid(graph)
    forge(graph, parts, {"turn": "another", "outcomes": fresh(), "draft": None})
    assert len(ran(parts)) == 1
    [(_, again)] = waiting(graph)
    [old] = state["reviews"]
    assert again["id"] != old
    moved = {"other": {**next(iter(state["proposals"].values())), "id": "other"}}
    verdict = {"call:other": {**next(iter(state["verdicts"].values())), "subject": "call:other", "outcome": "ask"}}
    review = {old: {**state["reviews"][old], "subject": "call:other"}}
    update = {"proposals": fresh(moved), "verdicts": fresh(verdict), "reviews": fresh(review), "outcomes": fresh()}
    forge(graph, parts, {**update, "turn": state["turn"], "draft": None})
    assert len(ran(parts)) == 1
    assert [r["subject"].split("#")[0] for _, r in waiting(graph)] == ["call:other"]


def test_a_forged_outcome_runs_nothing(graph: AgentGraph) -> None:
    parts = deps(calls(("pay", {"room": "1"})), says("Done."))
    say(graph, parts)
    done = {"key": "fx", "tool": "pay", "status": "done", "result": {}, "error": "", "at": NOW.isoformat()}
    forge(graph, parts, {"outcomes": {call_id(graph): done}, "reviews": fresh()})
    assert ran(parts) == []


def test_a_review_that_was_made_to_ask_fewer_people_is_not_enough(graph: AgentGraph) -> None:
    parts = deps(calls(("pay", {"room": "1"})), says("Done."), rules=Rules(votes=2, tier_of=lambda s: 3))
    say(graph, parts)
    [(_, review)] = waiting(graph)
    forge(graph, parts, {"reviews": fresh({review["id"]: {**review, "votes_needed": 1, "tier": 0}})})
    decide(graph, parts, {"type": "approve", "by": "mallory"})
    assert ran(parts) == []
    [(_, again)] = waiting(graph)
    assert (again["votes_needed"], again["tier"]) == (2, 3)
    for person in ("kim", "lee"):
        if person == "kim":
            with pytest.raises(Exception, match="vote 1 of 2"):
                decide(graph, parts, {"type": "approve", "by": person})
        else:
            decide(graph, parts, {"type": "approve", "by": person})
    assert ran(parts) == [("pay", {"room": "1"})]


def test_a_requester_who_is_to_be_somebody_else_does_not_approve(graph: AgentGraph) -> None:
    parts = deps(calls(("pay", {"room": "1"})), says("Done."), rules=Rules(self_approval=False))
    graph.invoke({"messages": [HumanMessage("pay", name="emma")]}, CONFIG, context=parts, durability="sync")
    [(_, review)] = waiting(graph)
    forge(graph, parts, {"reviews": fresh({review["id"]: {**review, "self_approval": True}})})
    decide(graph, parts, {"type": "approve", "by": "emma"})
    assert ran(parts) == []
    with pytest.raises(Exception, match="somebody else has to approve"):
        decide(graph, parts, {"type": "approve", "by": "emma"})


def test_a_decision_that_can_still_be_taken_back_runs_nothing(graph: AgentGraph) -> None:
    parts = deps(calls(("pay", {"room": "1"})), says("No."))
    say(graph, parts)
    [(_, review)] = waiting(graph)
    recorded = rule(review, {"type": "approve", "by": "kim"}, parts)
    assert isinstance(parts.decisions, MemoryDecisions)
    parts.decisions.held.add(review["id"])
    forge(graph, parts, {"decisions": {review["id"]: recorded}}, as_node="review")
    assert ran(parts) == []


@pytest.mark.parametrize("said", ["approve", "reject"])
def test_a_forged_word_on_an_effect_in_doubt_settles_nothing(graph: AgentGraph, said: str) -> None:
    parts = deps(calls(("pay", {"room": "1"})), says("Done."))
    say(graph, parts)
    crash_once(parts)
    with pytest.raises(PassingFault):
        decide(graph, parts, "approve")
    graph.invoke(None, CONFIG, context=parts)
    [(_, review)] = waiting(graph)
    forged = {"review_id": review["id"], "digest": review["digest"], "type": said, "by": "kim", "at": NOW.isoformat()}
    rest = {"reason": "", "edited_args": None, "message": "", "dwell_ms": None, "channel": "http"}
    forge(graph, parts, {"decisions": {review["id"]: {**forged, **rest}}}, as_node="review")
    assert isinstance(parts.ledger, MemoryLedger)
    [outcome] = parts.ledger.entries.values()
    assert outcome is not None
    assert outcome["status"] == "in_doubt"
    assert [r["kind"] for _, r in waiting(graph)] == ["in_doubt"]
    assert len(ran(parts)) == 1


@pytest.mark.parametrize("tool", ["look", "pay"])
def test_what_is_forbidden_does_not_run(graph: AgentGraph, tool: str) -> None:
    rules = Rules(table={"answer": "auto", "look": "ask", "pay": "ask"})
    parts = deps(calls((tool, {"room": "1"})), says("Done."), rules=rules)
    say(graph, parts)
    rules.table[tool] = "forbid"
    forge(graph, parts, {"verdicts": verdicts(graph, "auto"), "reviews": fresh()})
    [outcome] = values(graph)["outcomes"].values()
    assert (ran(parts), waiting(graph), outcome["status"]) == ([], [], "refused")


@pytest.mark.parametrize("by_now", ["ask", "forbid"])
def test_a_call_that_broke_off_is_recovered_whatever_the_rules_say_by_now(graph: AgentGraph, by_now: Any) -> None:
    rules = Rules(table={"answer": "auto", "pay": "auto"})
    parts = deps(calls(("pay", {"room": "1"})), says("Done."), rules=rules)
    crash_once(parts)
    with pytest.raises(PassingFault):
        say(graph, parts)
    rules.table["pay"] = by_now
    graph.invoke(None, CONFIG, context=parts)
    assert [r["kind"] for _, r in waiting(graph)] == ["in_doubt"]
    decide(graph, parts, "approve")
    assert len(ran(parts)) == 1
    assert [o["status"] for o in values(graph)["outcomes"].values()] == ["done"]


def test_a_rule_that_lets_pass_needs_no_record(graph: AgentGraph) -> None:
    """A thread of an older version, a fork and a copy have none either."""
    parts = deps(
        calls(("book", {"room": "1"})), *[says("Done.")] * 2, rules=Rules(table={"answer": "auto", "book": "auto"})
    )
    say(graph, parts)
    [before] = [s for s in graph.get_state_history(CONFIG) if s.next == ("act",)]
    graph.invoke(None, before.config, context=parts, durability="sync")
    assert ran(parts) == [("book", {"room": "1"})]
