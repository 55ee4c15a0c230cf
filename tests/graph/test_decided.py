"""What was decided is what runs: edits, changed tools and rules, deadlines."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.errors import is_invalid_resume
from langgraph.types import Command

from graph import AgentGraph
from nodes.door import rule
from nodes.ports import Deps
from state import PassingFault, Review
from tests.graph.parts import (
    MemoryDecisions,
    Rules,
    Toys,
    calls,
    deps,
    says,
    spec,
)
from tests.graph.talk import CONFIG, crash_once, decide, later, ran, say, values, waiting


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


def test_an_edit_to_no_arguments_at_all_is_asked_about_as_such(graph: AgentGraph) -> None:
    class Bare(Toys):
        def check(self, name: str, args: Any) -> Any:
            return {**super().check(name, args), "missing": []}

        def run(self, name: str, args: Any, *, key: str, version: str = "") -> Any:
            self.ran.append((name, dict(args), key))
            return {"ok": True}

    parts = deps(calls(("book", {"room": "101"})), says("Booked."), toys=Bare())
    say(graph, parts)
    assert isinstance(parts.policy, Rules)
    parts.policy.version = "policy-2"
    decide(graph, parts, {"type": "edit", "by": "kim", "edited_args": {}})
    [(_, review)] = waiting(graph)
    assert (review["action"]["args"], ran(parts)) == ({}, [])
    decide(graph, parts, "approve")
    assert ran(parts) == [("book", {})]


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


def test_an_expired_review_is_denied_by_nobody_and_too_late_to_approve(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "1"})), says("It expired."))
    say(graph, parts)
    [(interrupt_id, review)] = waiting(graph)
    later(parts, 11)
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
    later(parts, 10_000)
    graph.invoke(Command(resume={interrupt_id: stored}), CONFIG, context=parts)
    assert ran(parts) == [("book", {"room": "1"})]


def test_an_effect_in_doubt_never_expires(graph: AgentGraph) -> None:
    parts = deps(calls(("pay", {"room": "1"})), says("Paid."))
    say(graph, parts)
    crash_once(parts)
    with pytest.raises(PassingFault):
        decide(graph, parts, "approve")
    graph.invoke(None, CONFIG, context=parts)
    later(parts, 1_000_000)
    with pytest.raises(Exception, match="is not due"):
        decide(graph, parts, {"type": "expire"})
    decide(graph, parts, "approve")
    assert len(ran(parts)) == 1
