"""Defects of LangChain's human-in-the-loop middleware, each shown in ours not to be there.

``test_middleware_…`` plays the middleware itself and shows the defect: when one turns green by itself, it is mended.
docs/proofs.md has the threads.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.types import Command

from graph import AgentGraph
from nodes.ports import Deps
from tests.graph.middleware import Jumps, Middled, wants
from tests.graph.parts import Rules, Script, calls, deps, says
from tests.graph.talk import CONFIG, decide, ran, say, values, waiting

EDIT = {"type": "edit", "by": "kim", "edited_args": {"room": "2"}}


def send(graph: AgentGraph, parts: Deps, command: Any) -> dict[str, Any]:
    return graph.invoke(command, CONFIG, context=parts, durability="sync")


# a tool that nobody listed


def test_middleware_runs_a_tool_that_nobody_listed() -> None:
    middled = Middled([wants(("pay", "1"))], book=True)
    middled.begin()
    assert middled.ran == [("pay", "1")]


def test_a_tool_that_nobody_listed_is_asked_about(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "1"})), says("Booked."), rules=Rules(table={"answer": "auto"}))
    say(graph, parts)
    assert (ran(parts), len(waiting(graph))) == ([], 1)


# a condition that is asked twice, or says nothing


def test_middleware_turns_a_rejection_into_a_run_when_its_condition_changes() -> None:
    asked = iter([True, False])
    condition = {"allowed_decisions": ["approve", "reject"], "when": lambda request: next(asked)}
    middled = Middled([wants(("pay", "1"))], pay=condition)
    middled.begin()
    middled.decide({"type": "reject"})
    assert middled.ran == [("pay", "1")]


def test_a_rule_that_changes_while_somebody_decides_turns_no_rejection_into_a_run(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "1"})), says("It was rejected."))
    say(graph, parts)
    assert isinstance(parts.policy, Rules)
    parts.policy.table["book"] = "auto"
    decide(graph, parts, "reject")
    assert ran(parts) == []
    assert values(graph)["answer"]["text"] == "It was rejected."


def test_middleware_runs_a_call_whose_condition_says_nothing() -> None:
    middled = Middled([wants(("pay", "1"))], pay={"allowed_decisions": ["approve"], "when": lambda request: None})
    middled.begin()
    assert middled.ran == [("pay", "1")]


# the way past the gate


def test_middleware_runs_what_was_rejected_when_another_one_jumps_to_the_tools() -> None:
    middled = Middled([wants(("pay", "1"))], Jumps(), pay=True)
    middled.begin()
    middled.decide({"type": "reject"})
    assert middled.ran == [("pay", "1")]


@pytest.mark.parametrize("said", [None, "reject"], ids=["undecided", "rejected"])
def test_whoever_jumps_to_act_finds_the_gate_there(graph: AgentGraph, said: str | None) -> None:
    parts = deps(calls(("pay", {"room": "1"})), says("No."), says("No."))
    say(graph, parts)
    if said:
        decide(graph, parts, said)
    send(graph, parts, Command(goto="act"))
    assert ran(parts) == []


@pytest.mark.parametrize("how", ["command", "update_state", "update_state as review"])
def test_an_approval_that_came_past_the_door_runs_nothing(graph: AgentGraph, how: str) -> None:
    """Whoever may write into the state has not decided: the decision is not in the record."""
    parts = deps(calls(("pay", {"room": "1"})), says("No."), says("No."))
    say(graph, parts)
    [(_, review)] = waiting(graph)
    forged = {"review_id": review["id"], "digest": review["digest"], "type": "approve", "by": "kim", "at": "2026-11-22"}
    rest = {"reason": "", "edited_args": None, "message": "", "dwell_ms": None, "channel": "http"}
    update = {"decisions": {review["id"]: {**forged, **rest}}}
    if how == "command":
        send(graph, parts, Command(update=update, goto="act"))
    else:
        graph.update_state(CONFIG, update, as_node="review" if how.endswith("review") else "comply")
        send(graph, parts, None)
    assert ran(parts) == []
    refused = [o["status"] for o in values(graph)["outcomes"].values()]
    assert refused == ([] if how == "command" else ["refused"])  # a command leaves the pause as it is


# an edit


def test_middleware_lets_an_edit_call_a_tool_that_may_only_be_rejected() -> None:
    middled = Middled([wants(("book", "1"))], book=True, pay={"allowed_decisions": ["reject"]})
    middled.begin()
    middled.decide({"type": "edit", "edited_action": {"name": "pay", "args": {"room": "1"}}})
    assert middled.ran == [("pay", "1")]


@pytest.mark.parametrize(
    "wire",
    [
        {"decisions": [{"type": "edit", "edited_action": {"name": "pay", "args": {"room": "1"}}}]},
        [{"type": "edit", "args": {"action": "pay", "args": {"room": "1"}}}],
        {"type": "edit", "by": "kim", "edited_args": {"room": "1"}, "tool": "pay"},
        {"type": "edit", "by": "kim", "edited_args": {"room": "1"}, "name": "pay"},
    ],
)
def test_an_edit_calls_no_other_tool(graph: AgentGraph, wire: Any) -> None:
    parts = deps(calls(("book", {"room": "1"})), says("Booked."))
    say(graph, parts)
    with pytest.raises(Exception, match=r"may not change the tool|has no field"):
        decide(graph, parts, wire)
    assert (ran(parts), len(waiting(graph))) == ([], 1)


def test_a_model_that_makes_its_own_call_again_after_an_edit_has_to_ask_again(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "1"})), calls(("book", {"room": "1"})), says("Fine."))
    say(graph, parts)
    decide(graph, parts, EDIT)
    assert ran(parts) == [("book", {"room": "2"})]
    [(_, again)] = waiting(graph)
    assert again["action"]["args"] == {"room": "1"}
    decide(graph, parts, "reject")
    assert ran(parts) == [("book", {"room": "2"})]


def test_the_model_is_told_that_another_call_than_its_own_has_run(graph: AgentGraph) -> None:
    """Else it takes its own for unfulfilled and makes it again."""
    parts = deps(calls(("book", {"room": "1"}), ("pay", {"room": "1"})), says("Fine."))
    say(graph, parts)
    decide(graph, parts, EDIT, "approve")
    assert isinstance(parts.generator, Script)
    read = parts.generator.seen[-1]
    assert isinstance(next(m for m in read if isinstance(m, AIMessage)), AIMessage)
    edited, as_it_was = (str(m.content) for m in read if isinstance(m, ToolMessage))
    assert "kim changed this call" in edited
    assert json.dumps({"room": "2"}) in edited
    assert "changed" not in as_it_was


def test_what_the_tool_would_not_take_is_no_edit(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "1"})), says("Booked."))
    say(graph, parts)
    wrong: list[Any] = [{"rooom": "2"}, {}, {"room": 2}, {"room": ["2"]}, None, [], "2"]
    for args in wrong:
        with pytest.raises(Exception, match="rv_"):
            decide(graph, parts, {"type": "edit", "by": "kim", "edited_args": args})
    assert (ran(parts), len(waiting(graph))) == ([], 1)
    decide(graph, parts, "approve")
    assert ran(parts) == [("book", {"room": "1"})]


# whose answer it is


def test_middleware_answers_the_next_question_with_a_retry_of_the_last_answer() -> None:
    middled = Middled([wants(("book", "1")), wants(("pay", "1"))], book=True, pay=True)
    middled.begin()
    middled.decide({"type": "approve"})
    middled.decide({"type": "approve"})
    assert middled.ran == [("book", "1"), ("pay", "1")]


def test_a_retry_of_an_answer_that_names_nothing_is_refused(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "1"})), calls(("pay", {"room": "1"})), says("Done."))
    say(graph, parts)
    for answer in ({"decisions": [{"type": "approve"}]}, [{"type": "accept", "args": None}], {"type": "approve"}):
        with pytest.raises(Exception, match="a resume names its review"):
            send(graph, parts, Command(resume=answer))
    assert (ran(parts), len(waiting(graph))) == ([], 1)


def test_decisions_belong_to_calls_by_id_not_by_position(graph: AgentGraph) -> None:
    """The middleware takes a list of decisions and pairs it with the calls by position."""
    parts = deps(calls(("book", {"room": "1"}), ("pay", {"room": "2"}), ("book", {"room": "3"})), says("Done."))
    say(graph, parts)
    said = {"1": "approve", "2": "reject", "3": "approve"}
    answers = [(iid, {"type": said[r["action"]["args"]["room"]], "by": "kim"}) for iid, r in waiting(graph)]
    send(graph, parts, Command(resume=dict(reversed(answers))))
    assert sorted(args["room"] for _, args in ran(parts)) == ["1", "3"]


def test_a_question_in_between_changes_nothing(graph: AgentGraph) -> None:
    """Of what a rejected call leaves behind nothing is taken for pending in the next turn."""
    parts = deps(calls(("pay", {"room": "1"})), says("No."), says("Breakfast is at 7."))
    say(graph, parts)
    decide(graph, parts, "reject")
    given: Any = {"messages": [HumanMessage("and breakfast?")]}
    send(graph, parts, given)
    assert (ran(parts), waiting(graph)) == ([], [])
