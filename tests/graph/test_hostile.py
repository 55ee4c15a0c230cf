"""Whoever sends what no client of ours would: nothing runs, nothing is half recorded, and the thread goes on."""

from __future__ import annotations

import math
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.types import Command

from graph import AgentGraph
from nodes.door import NAME_MAX
from nodes.gate import DEEPEST, unfit
from state import BrokenInvariant, Generation
from tests.graph.parts import Rules, calls, deps, says
from tests.graph.talk import CONFIG, decide, ran, say, values, waiting


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


UNFIT: list[Any] = [math.nan, math.inf, -math.inf, 2**53, 2**80, -(2**60), "\udcff", nested(3000), {"a": [math.nan]}]


@pytest.mark.parametrize("value", UNFIT, ids=range(len(UNFIT)))
def test_a_call_that_cannot_be_shown_exactly_is_refused(graph: AgentGraph, value: Any) -> None:
    """No digest holds it, and a rule like ``amount > 100000`` says no of "not a number"."""
    parts = deps(calls(("book", {"room": "1", "nights": value})), says("No."))
    say(graph, parts)
    assert (waiting(graph), ran(parts)) == ([], [])
    assert [o["status"] for o in values(graph)["outcomes"].values()] == ["refused"]
    assert values(graph)["answer"]["text"] == "No."


@pytest.mark.parametrize("value", UNFIT, ids=range(len(UNFIT)))
def test_such_an_edit_is_refused_and_the_review_stays_open(graph: AgentGraph, value: Any) -> None:
    parts = deps(calls(("book", {"room": "1"})), says("Booked."))
    say(graph, parts)
    with pytest.raises(Exception, match="the edit was not taken"):
        decide(graph, parts, {"type": "edit", "by": "kim", "edited_args": {"room": "1", "nights": value}})
    assert (parts.decisions.of("t1"), ran(parts)) == ({}, [])
    decide(graph, parts, "approve")
    assert ran(parts) == [("book", {"room": "1"})]


def test_what_json_holds_exactly_is_fit() -> None:
    fit: list[Any] = [0, -1.5, 2**53 - 1, "김하나 👩‍👧", None, True, [], {}, nested(DEEPEST), {"a": [{"b": "c"}]}]
    assert [value for value in fit if unfit(value)] == []
    wrong: list[Any] = [nested(DEEPEST + 1), {"\udcff": 1}, {1: object()}, b"x"]
    assert [value for value in wrong if not unfit(value)] == []


def test_a_draft_with_half_a_character_is_an_answer_all_the_same(graph: AgentGraph) -> None:
    rules = Rules(table={})
    parts = deps(says("From 7 \udcff to 10."), rules=rules)
    say(graph, parts)
    decide(graph, parts, "approve")
    assert values(graph)["answer"]["text"] == "From 7 ? to 10."


@pytest.mark.parametrize("field", ["by", "reason", "message", "channel"])
@pytest.mark.parametrize("value", ["\udcff", "x" * 20_001, 7, ["kim"], {"a": 1}])
def test_a_decision_with_a_text_that_is_none_is_refused(graph: AgentGraph, field: str, value: Any) -> None:
    parts = deps(calls(("book", {"room": "1"})), says("Booked."))
    say(graph, parts)
    with pytest.raises(Exception, match="rv_"):
        decide(graph, parts, {"type": "approve", "by": "kim", field: value})
    assert (parts.decisions.of("t1"), ran(parts), len(waiting(graph))) == ({}, [], 1)


@pytest.mark.parametrize(
    "mixed",
    [
        {"type": "approve", "by": "kim", "decisions": [{"type": "reject"}]},
        {"decisions": [{"type": "reject"}], "type": "approve"},
        {"type": "approve", "by": "kim", "edited_args": {"room": "9"}},
        {"type": "reject", "by": "kim", "edited_args": {}},
        {"decisions": [{"type": "approve", "edited_action": {"name": "book", "args": {"room": "9"}}}]},
        {"decisions": [{"type": "reject", "edited_action": {"name": "book", "args": {"room": "9"}}}]},
        [{"type": "accept", "args": {"action": "book", "args": {"room": "9"}}}],
        [{"type": "ignore", "args": {"room": "9"}}],
        {"decisions": [{"type": "approve"}, {"type": "approve"}]},
        {"decisions": [{"type": "approve"}], "digest": "sha256:0"},
        {"decisions": [{"type": "approve"}], "review_id": "rv_other"},
        {"decisions": [{"type": "accept"}]},
        [{"type": "approve"}, {"type": "reject"}],
        {1: "approve", "type": "approve"},
    ],
)
def test_a_decision_that_says_two_things_says_none(graph: AgentGraph, mixed: Any) -> None:
    parts = deps(calls(("book", {"room": "1"})), says("Booked."))
    say(graph, parts)
    with pytest.raises(Exception, match="rv_"):
        decide(graph, parts, mixed)
    assert (parts.decisions.of("t1"), ran(parts), len(waiting(graph))) == ({}, [], 1)


def test_an_inbox_that_sends_what_it_was_shown_with_its_yes_has_said_yes(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "1", "nights": 2})), says("Booked."))
    say(graph, parts)
    decide(graph, parts, [{"type": "accept", "args": {"action": "book", "args": {"room": "1", "nights": "2"}}}])
    assert ran(parts) == [("book", {"room": "1", "nights": 2})]


@pytest.mark.parametrize(
    "again",
    ["kim", "Kim", "KIM", " kim ", "\uff4b\uff49\uff4d", "kim\u00a0"],
)
def test_one_person_in_two_spellings_is_no_quorum(graph: AgentGraph, again: str) -> None:
    parts = deps(calls(("book", {"room": "1"})), says("Booked."), rules=Rules(votes=2))
    say(graph, parts)
    for by in ("kim", again):
        with pytest.raises(Exception, match="vote 1 of 2"):
            decide(graph, parts, {"type": "approve", "by": by})
    assert ran(parts) == []
    decide(graph, parts, {"type": "approve", "by": "lee"})
    assert ran(parts) == [("book", {"room": "1"})]


def test_one_person_in_two_unicode_forms_is_no_quorum(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "1"})), says("Booked."), rules=Rules(votes=2))
    say(graph, parts)
    for by in ("김하나", "\u1100\u1175\u11b7\u1112\u1161\u1102\u1161"):
        with pytest.raises(Exception, match="vote 1 of 2"):
            decide(graph, parts, {"type": "approve", "by": by})
    assert ran(parts) == []


def test_the_requester_in_another_spelling_is_still_the_requester(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "1"})), says("Booked."), rules=Rules(self_approval=False))
    given: Any = {"messages": [HumanMessage("book a room", name="Emma")]}
    graph.invoke(given, CONFIG, context=parts, durability="sync")
    for by in ("emma", "ＥＭＭＡ", "Emma "):
        with pytest.raises(Exception, match="somebody else has to approve"):
            decide(graph, parts, {"type": "approve", "by": by})
    assert ran(parts) == []


@pytest.mark.parametrize(
    "name", ["k\u0456m", "kim\u200b", "ki\u202em", "\u200b", "   ", "kim\x00", "kim\n", "k" * (NAME_MAX + 1)]
)
def test_a_name_that_could_be_taken_for_anothers_decides_nothing(graph: AgentGraph, name: str) -> None:
    parts = deps(calls(("book", {"room": "1"})), says("Booked."))
    say(graph, parts)
    with pytest.raises(Exception, match="is no name to decide under"):
        decide(graph, parts, {"type": "approve", "by": name})
    assert (parts.decisions.of("t1"), ran(parts)) == ({}, [])


@pytest.mark.parametrize(
    "tool", ["b\u043e\u043ek", "Book", "BOOK", "book ", "\uff42ook", "book\u200b", "../book", "book\x00", ""]
)
def test_a_tool_whose_name_only_looks_like_one_is_refused(graph: AgentGraph, tool: str) -> None:
    parts = deps(calls((tool, {"room": "1"})), says("No."))
    say(graph, parts)
    assert (ran(parts), waiting(graph)) == ([], [])
    assert [o["status"] for o in values(graph)["outcomes"].values()] == ["refused"]


@pytest.mark.parametrize("ids", [("c", "c"), (None, "c"), ("", ""), ("c", None)])
def test_calls_that_cannot_be_told_apart_open_nothing(graph: AgentGraph, ids: tuple[Any, Any]) -> None:
    wanted = [{"name": name, "args": {"room": "1"}, "id": id} for name, id in zip(("book", "pay"), ids, strict=True)]
    message = AIMessage(content="", tool_calls=wanted)
    line = Generation(message=message, citations=[], clarification="", about="", abstained=False, speaker="script@none")
    parts = deps(line, says("Fine."))
    with pytest.raises(BrokenInvariant, match="call id"):
        say(graph, parts)
    assert (ran(parts), waiting(graph)) == ([], [])


def test_an_old_pause_answered_again_changes_nothing(graph: AgentGraph) -> None:
    """By the id of its checkpoint: what was decided stays decided, and what was done is not done again."""
    parts = deps(calls(("pay", {"room": "1"})), says("Paid."), says("Paid."), says("Paid."))
    say(graph, parts)
    old: Any = graph.get_state(CONFIG).config
    [(interrupt_id, review)] = waiting(graph)
    decide(graph, parts, "approve")
    config: Any = {"configurable": {**old["configurable"], "__pregel_strict_resume": True}}
    for said in ("reject", "approve"):  # LangGraph plays the answer again that it had, whatever comes
        again: Any = Command(resume={interrupt_id: {"type": said, "by": "lee"}})
        graph.invoke(again, config, context=parts)
        assert parts.decisions.of("t1")[review["id"]]["by"] == "kim"
        assert [(d["type"], d["by"]) for d in values(graph)["decisions"].values()] == [("approve", "kim")]
        assert [o["status"] for o in values(graph)["outcomes"].values()] == ["done"]
    assert ran(parts) == [("pay", {"room": "1"})]
