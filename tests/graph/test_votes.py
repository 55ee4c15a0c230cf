"""Several people, roles and the requester, through the compiled graph."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.types import Command

from graph import AgentGraph
from nodes.door import NotEntitled, VoteCounted, Who, rule
from nodes.ports import Deps
from state import Review
from tests.graph.parts import Rules, calls, deps, says
from tests.graph.talk import CONFIG, decide, ran, waiting


def asked(graph: AgentGraph, rules: Rules, *lines: Any) -> tuple[Deps, Review]:
    """A booking by emma that waits under these rules."""
    parts = deps(calls(("book", {"room": "101"})), *lines, says("Booked."), rules=rules)
    message = HumanMessage("book a room", name="emma")
    graph.invoke({"messages": [message]}, CONFIG, context=parts, durability="sync")
    [(_, review)] = waiting(graph)
    return parts, review


def approve(graph: AgentGraph, parts: Deps, by: str) -> None:
    decide(graph, parts, {"type": "approve", "by": by})


def test_two_people_approve_and_it_runs_once(graph: AgentGraph) -> None:
    parts, review = asked(graph, Rules(votes=2))
    assert review["votes_needed"] == 2
    with pytest.raises(Exception, match="vote 1 of 2"):
        approve(graph, parts, "kim")
    with pytest.raises(Exception, match="vote 1 of 2"):
        approve(graph, parts, "kim")  # the same person again
    assert ran(parts) == []
    [(_, still)] = waiting(graph)
    assert still["id"] == review["id"]
    approve(graph, parts, "lee")
    assert ran(parts) == [("book", {"room": "101"})]


def test_an_edit_begins_the_votes_anew_on_what_was_edited(graph: AgentGraph) -> None:
    parts, review = asked(graph, Rules(votes=2))
    with pytest.raises(Exception, match="vote 1 of 2"):
        approve(graph, parts, "kim")
    decide(graph, parts, {"type": "edit", "by": "lee", "edited_args": {"room": "102"}})
    assert ran(parts) == []
    [(_, edited)] = waiting(graph)
    assert edited["id"] != review["id"]
    assert (edited["action"]["args"], edited["votes_needed"]) == ({"room": "102"}, 2)
    with pytest.raises(Exception, match="vote 1 of 2"):
        approve(graph, parts, "kim")
    assert ran(parts) == []
    approve(graph, parts, "park")
    assert ran(parts) == [("book", {"room": "102"})]


def test_one_rejection_is_enough(graph: AgentGraph) -> None:
    parts, _review = asked(graph, Rules(votes=3))
    with pytest.raises(Exception, match="vote 1 of 3"):
        approve(graph, parts, "kim")
    decide(graph, parts, {"type": "reject", "by": "lee", "reason": "no"})
    assert (ran(parts), waiting(graph)) == ([], [])


@pytest.mark.parametrize("said", [{"type": "approve"}, {"type": "edit", "edited_args": {"room": "102"}}])
def test_who_asked_does_not_approve_where_the_rule_says_so(graph: AgentGraph, said: dict[str, Any]) -> None:
    parts, review = asked(graph, Rules(self_approval=False))
    assert (review.get("requester"), review.get("self_approval")) == ("emma", False)
    with pytest.raises(Exception, match="somebody else has to approve"):
        decide(graph, parts, {**said, "by": "emma"})
    assert parts.decisions.of("t1") == {}
    approve(graph, parts, "kim")
    assert ran(parts) == [("book", {"room": "101"})]


def test_who_asked_may_take_the_request_back(graph: AgentGraph) -> None:
    parts, _review = asked(graph, Rules(self_approval=False))
    decide(graph, parts, {"type": "reject", "by": "emma", "reason": "never mind"})
    assert ran(parts) == []


def test_who_asked_approves_where_the_rule_lets_them(graph: AgentGraph) -> None:
    parts, _review = asked(graph, Rules())
    approve(graph, parts, "emma")
    assert ran(parts) == [("book", {"room": "101"})]


@pytest.mark.parametrize(
    ("roles", "role", "fits"),
    [
        (("manager", "clerk"), "", True),
        (("clerk",), "", False),
        ((), "", False),
        (None, "", True),  # not known: nobody can be asked for a role
        (None, "manager", True),
        (None, "clerk", False),
        (("manager", "clerk"), "clerk", False),
    ],
)
def test_a_role_is_wanted_of_whoever_is_known(
    graph: AgentGraph, roles: tuple[str, ...] | None, role: str, fits: bool
) -> None:
    parts, review = asked(graph, Rules(roles=["manager", "owner"]))
    who = Who(by="kim", roles=roles, role=role)
    if fits:
        assert rule(review, {"type": "approve"}, parts, who).get("role", "") == ("manager" if roles or role else "")
    else:
        with pytest.raises(NotEntitled, match="manager or owner"):
            rule(review, {"type": "approve"}, parts, who)
        assert parts.decisions.of("t1") == {}


def test_the_door_knows_the_roles_of_the_settings(graph: AgentGraph) -> None:
    from dataclasses import replace

    parts, _review = asked(graph, Rules(roles=["manager"]))
    with pytest.raises(Exception, match="decided by manager"):
        approve(graph, replace(parts, roles=("clerk",)), "kim")
    approve(graph, replace(parts, roles=("manager",)), "kim")
    assert len(ran(parts)) == 1


def test_a_role_that_an_edit_calls_for_is_asked_for(graph: AgentGraph) -> None:
    class Strict(Rules):
        def judge(self, subject_id: str, subject: Any) -> Any:
            verdict = super().judge(subject_id, subject)
            return {**verdict, "roles": ["manager"]} if subject["args"].get("room") == "suite" else verdict

    parts, _review = asked(graph, Strict())
    decide(graph, parts, {"type": "edit", "by": "kim", "edited_args": {"room": "suite"}})
    assert ran(parts) == []
    [(_, review)] = waiting(graph)
    assert review["roles"] == ["manager"]


def test_a_vote_that_was_counted_says_how_many_are_missing(graph: AgentGraph) -> None:
    parts, review = asked(graph, Rules(votes=3))
    with pytest.raises(VoteCounted) as counted:
        rule(review, {"type": "approve"}, parts, Who(by="kim", hold_s=5))
    assert (counted.value.votes, counted.value.needed, counted.value.vote["by"]) == (1, 3, "kim")
    assert "held_until" not in counted.value.vote


def test_a_decision_that_is_recorded_is_released_by_anybody(graph: AgentGraph) -> None:
    parts, review = asked(graph, Rules(roles=["manager"]))
    stored = rule(review, {"type": "approve"}, parts, Who(by="kim", roles=("manager",)))
    [(interrupt_id, _)] = waiting(graph)
    graph.invoke(Command(resume={interrupt_id: stored}), CONFIG, context=parts, durability="sync")
    assert len(ran(parts)) == 1
