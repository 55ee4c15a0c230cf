"""A rule that wants a written reason for an approval, through the compiled graph: nobody gets round it."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from graph import AgentGraph
from nodes.ports import Deps
from state import fresh
from tests.graph.parts import Rules, calls, deps, says
from tests.graph.talk import CONFIG, decide, ran, values, waiting

WHY = "the guest called back"
FORMS: list[Any] = [
    {"type": "approve"},
    {"type": "edit", "edited_args": {"room": "102"}},
    {"decisions": [{"type": "approve"}]},
    {"decisions": [{"type": "edit", "edited_action": {"name": "book", "args": {"room": "102"}}}]},
    [{"type": "accept", "args": None}],
    [{"type": "edit", "args": {"action": "book", "args": {"room": "102"}}}],
]
"""An approval in each wire form that is read."""


def asked(graph: AgentGraph, rules: Rules) -> Deps:
    parts = deps(calls(("book", {"room": "101"})), says("Booked."), says("Booked."), rules=rules)
    graph.invoke({"messages": [HumanMessage("book a room")]}, CONFIG, context=parts, durability="sync")
    return parts


def with_reason(form: Any, reason: str) -> Any:
    """The same form with a reason, where that form has a place for it."""
    if isinstance(form, list):
        return [{**form[0], "reason": reason}]
    if "decisions" in form:
        return {"decisions": [{**form["decisions"][0], "message": reason}]}
    return {**form, "reason": reason}


@pytest.mark.parametrize("form", FORMS, ids=lambda form: str(form)[:40])
def test_an_approval_says_why_in_every_wire_form(graph: AgentGraph, form: Any) -> None:
    parts = asked(graph, Rules(wants_reason=True))
    assert waiting(graph)[0][1]["wants_reason"] is True
    for empty in (form, with_reason(form, "  "), with_reason(form, "…\u200b.")):
        with pytest.raises(Exception, match="is approved with a reason"):
            decide(graph, parts, empty)
        assert parts.decisions.of("t1") == {}
    decide(graph, parts, with_reason(form, WHY))
    [stored] = parts.decisions.of("t1").values()
    assert stored["reason"] == WHY
    assert len(ran(parts)) == 1


def test_a_reason_may_stand_beside_another_clients_list(graph: AgentGraph) -> None:
    parts = asked(graph, Rules(wants_reason=True))
    decide(graph, parts, {"decisions": [{"type": "approve"}], "reason": WHY})
    assert len(ran(parts)) == 1


def test_a_rejection_needs_none(graph: AgentGraph) -> None:
    parts = asked(graph, Rules(wants_reason=True))
    decide(graph, parts, {"type": "reject"})
    assert ran(parts) == []


def test_each_of_several_people_says_why(graph: AgentGraph) -> None:
    parts = asked(graph, Rules(wants_reason=True, votes=2))
    with pytest.raises(Exception, match="vote 1 of 2"):
        decide(graph, parts, {"type": "approve", "by": "kim", "reason": WHY})
    with pytest.raises(Exception, match="is approved with a reason"):
        decide(graph, parts, {"type": "approve", "by": "lee"})
    assert ran(parts) == []
    decide(graph, parts, {"type": "approve", "by": "lee", "reason": "so she did"})
    assert len(ran(parts)) == 1


class OfSuites(Rules):
    """Only suites want a reason."""

    def judge(self, subject_id: str, subject: Any) -> Any:
        return {**super().judge(subject_id, subject), "wants_reason": subject["args"].get("room") == "suite"}


@pytest.mark.parametrize("reason", ["", WHY])
def test_an_edit_into_what_wants_a_reason_is_asked_about_unless_it_said_one(graph: AgentGraph, reason: str) -> None:
    parts = asked(graph, OfSuites())
    decide(graph, parts, {"type": "edit", "by": "kim", "edited_args": {"room": "suite"}, "reason": reason})
    assert len(ran(parts)) == (1 if reason else 0)
    asked_again = [review for _, review in waiting(graph)]
    assert [review["wants_reason"] for review in asked_again] == ([] if reason else [True])
    assert "record of decisions" not in str(asked_again), "comply asks, before the last look has to"


def test_a_state_that_says_none_is_wanted_is_not_believed(graph: AgentGraph) -> None:
    """Somebody writes into the thread that this review needs no reason: the last look asks the rules."""
    parts = asked(graph, Rules(wants_reason=True))
    reviews = {rid: {**review, "wants_reason": False} for rid, review in values(graph)["reviews"].items()}
    branch = graph.update_state(CONFIG, {"reviews": fresh(reviews)}, as_node="comply")
    graph.invoke(None, branch, context=parts, durability="sync")
    decide(graph, parts, {"type": "approve"})
    assert ran(parts) == []
    [(_, again)] = waiting(graph)
    assert again["wants_reason"] is True
    decide(graph, parts, {"type": "approve", "reason": WHY})
    assert len(ran(parts)) == 1
