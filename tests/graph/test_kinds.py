"""All seven kinds of review, each reached through the compiled graph: payload, what may be said, schema, deadline."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dojang.settings import SAMPLE
from graph import AgentGraph
from nodes.ports import Deps
from state import Review
from tests.graph.parts import NOW, Rules, Script, Toys, calls, deps, passage, says, spec
from tests.graph.talk import CONFIG, contradicting, crash_once, decide, ran, say, values, waiting
from tools.policy import load_policy


def sample(*lines: Any, **more: Any) -> Deps:
    return replace(deps(*lines, **more), policy=load_policy(SAMPLE / "policy.toml", SAMPLE / "hard.toml"))


def only(graph: AgentGraph, kind: str, allowed: list[str], due: timedelta, tool: str = "") -> Review:
    """The one review that waits, whole."""
    [(_, review)] = waiting(graph)
    assert (review["kind"], review["allowed"], review["action"]["tool"]) == (kind, allowed, tool)
    assert datetime.fromisoformat(review["due_at"]) - datetime.fromisoformat(review["created_at"]) == due
    assert datetime.fromisoformat(review["escalate_at"]) == NOW + due / 2
    assert review["digest"].startswith("sha256:")
    assert review["summary"]
    assert review["why"]
    assert review["thread_id"] == "t1"
    Draft202012Validator.check_schema(review["answer_schema"])
    request = graph.get_state(CONFIG).tasks[0].interrupts[0].value
    wire = {"approve": "approve", "edit": "edit", "reject": "reject", "answer": "respond"}
    assert request["review_configs"][0]["allowed_decisions"] == [wire[a] for a in allowed]
    assert request["action_requests"][0]["args"] == review["action"]["args"]
    return review


DAY = timedelta(days=1)
BOOK = ["approve", "edit", "reject"]


def test_tool(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "101"})), says("Booked."))
    say(graph, parts)
    review = only(graph, "tool", BOOK, timedelta(minutes=10), "book")
    assert review["action"]["args"] == {"room": "101"}
    decide(graph, parts, "approve")
    assert ran(parts) == [("book", {"room": "101"})]


def test_approval(graph: AgentGraph) -> None:
    parts = sample(says("환불 금액은 50,000원입니다. [1]"))
    say(graph, parts, "환불은 얼마입니까?")
    review = only(graph, "approval", BOOK, timedelta(hours=4))
    assert review["why"][0]["rule_id"] == "promise-of-money"
    decide(graph, parts, "approve")
    assert values(graph)["answer"]["text"] == "환불 금액은 50,000원입니다. [1]"


def test_compliance_of_an_answer(graph: AgentGraph) -> None:
    parts = sample(says("예약자의 주민등록번호는 900101-1234567입니다. [1]"))
    say(graph, parts, "예약자가 누구입니까?")
    review = only(graph, "compliance", BOOK, timedelta(hours=4))
    assert review["tier"] == 2
    decide(graph, parts, {"type": "edit", "by": "kim", "edited_args": {"text": "알려 드릴 수 없습니다."}})
    assert values(graph)["answer"]["text"] == "알려 드릴 수 없습니다."


def test_compliance_of_a_call(graph: AgentGraph) -> None:
    toys = Toys(specs=[spec("send_message", "irreversible", "at_most_once")])
    parts = sample(calls(("send_message", {"room": "계좌 국민은행 123456-01-123456"})), says("Sent."), toys=toys)
    say(graph, parts, "보내 주세요")
    review = only(graph, "compliance", BOOK, timedelta(hours=2), "send_message")
    assert {reason["rule_id"] for reason in review["why"]} == {"message", "message-personal-data"}
    decide(graph, parts, {"type": "reject", "by": "kim", "reason": "no"})
    assert ran(parts) == []


@pytest.mark.parametrize(
    ("shelf", "grade"),
    [(contradicting(), "contradictory"), ([], "weak"), ([{**passage(), "scores": {"fused": 0.01}}], "weak")],
)
def test_correction(graph: AgentGraph, shelf: Any, grade: str) -> None:
    parts = sample(says("At 11. [1]"), says("At 12."), shelf=shelf)
    say(graph, parts, "When is check-out?")
    only(graph, "correction", ["approve", "edit", "answer", "reject"], timedelta(hours=4))
    assert values(graph)["evidence"]["grade"] == grade  # the verdict is stored, not made again
    decide(graph, parts, {"type": "answer", "by": "kim", "message": "12 o'clock"})
    decide(graph, parts, "approve")
    assert values(graph)["answer"]["text"] == "At 12."


def test_clarification_of_a_request_with_two_readings(graph: AgentGraph) -> None:
    parts = deps(says("It is free. [1]"))
    say(graph, parts, "Is a room free on 03/04?")
    review = only(graph, "clarification", ["answer", "reject"], DAY)
    assert review["question"] == "What do you mean by “03/04”: 3 April / 4 March?"
    reading = values(graph)["reading"]
    assert (reading["grade"], reading["readings"]) == ("ambiguous", ["3 April", "4 March"])
    assert values(graph)["passages"] == []  # nothing was looked up for it
    assert isinstance(parts.generator, Script)
    assert parts.generator.seen == []
    decide(graph, parts, {"type": "answer", "by": "emma", "message": "3 April"})
    assert values(graph)["question"] == "Is a room free on 03/04? (3 April)"
    assert [m.content for m in parts.generator.seen[0]] == [
        "Is a room free on 03/04?",
        review["question"],
        "3 April",
    ]
    assert values(graph)["answer"]["text"] == "It is free. [1]"
    assert values(graph)["reading"]["grade"] == "clear"


def test_a_request_that_nobody_clears_up_ends_and_the_next_one_is_read_anew(graph: AgentGraph) -> None:
    parts = deps(says("From 7. [1]"))
    say(graph, parts, "Cancel it.")
    review = only(graph, "clarification", ["answer", "reject"], DAY)
    assert review["question"] == "What do you mean by “it”?"
    decide(graph, parts, {"type": "reject", "by": "kim"})
    assert values(graph).get("answer") is None
    say(graph, parts, "When is breakfast?")
    assert values(graph)["answer"]["text"] == "From 7. [1]"


def test_clarification_of_a_missing_argument(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {})), calls(("book", {"room": "7"})), says("Booked."))
    say(graph, parts, "방 예약해 주세요")
    review = only(graph, "clarification", ["answer", "reject"], DAY)
    assert "room" in review["question"]


def test_in_doubt_and_what_the_tool_looks_up(graph: AgentGraph) -> None:
    toys = Toys(specs=[{**spec("pay", "irreversible", "at_most_once"), "probe": True}])
    parts = deps(calls(("pay", {"room": "1"})), says("Paid."), toys=toys)
    say(graph, parts)
    crash_once(parts)
    with pytest.raises(Exception, match="the line went dead"):
        decide(graph, parts, "approve")
    graph.invoke(None, CONFIG, context=parts, durability="sync")
    review = only(graph, "in_doubt", ["approve", "reject", "answer"], DAY, "pay")
    with pytest.raises(Exception, match="does not take this answer"):
        decide(graph, parts, {"type": "answer", "by": "kim", "message": "I think so"})
    decide(graph, parts, {"type": "answer", "by": "kim", "message": "look it up"})
    again = only(graph, "in_doubt", ["approve", "reject", "answer"], DAY, "pay")  # the probe could not tell
    assert again["id"] != review["id"]
    assert "the line is dead" in again["summary"]
    [(_, _, key)] = toys.ran
    toys.known[key] = {"key": key, "tool": "pay", "status": "done", "result": {"paid": 1}, "error": "", "at": ""}
    decide(graph, parts, {"type": "answer", "by": "kim", "message": "look it up"})
    assert len(ran(parts)) == 1
    [outcome] = values(graph)["outcomes"].values()
    assert (outcome["status"], outcome["result"]) == ("done", {"paid": 1})
    assert values(graph)["answer"]["text"] == "Paid."


def test_in_doubt_without_a_probe_offers_none(graph: AgentGraph) -> None:
    parts = deps(calls(("pay", {"room": "1"})), says("Not paid."))
    say(graph, parts)
    crash_once(parts)
    with pytest.raises(Exception, match="the line went dead"):
        decide(graph, parts, "approve")
    graph.invoke(None, CONFIG, context=parts, durability="sync")
    only(graph, "in_doubt", ["approve", "reject"], DAY, "pay")
    decide(graph, parts, {"type": "reject", "by": "kim"})
    assert len(ran(parts)) == 1
    [outcome] = values(graph)["outcomes"].values()
    assert (outcome["status"], "kim found that it did not happen" in outcome["error"]) == ("failed", True)


@pytest.mark.parametrize(
    ("wanted", "abstained", "asks"),
    [("never", False, False), ("always", False, True), ("abstained", False, False), ("abstained", True, True)],
)
def test_feedback_only_where_it_is_wanted(graph: AgentGraph, wanted: Any, abstained: bool, asks: bool) -> None:
    parts = replace(deps(says("From 7. [1]", abstained=abstained)), feedback=wanted)
    say(graph, parts, "When is breakfast?")
    assert values(graph)["answer"]["abstained"] == abstained  # the answer is out; nothing waits for the feedback
    assert bool(waiting(graph)) == asks
    if asks:
        review = only(graph, "feedback", ["approve", "answer", "reject"], DAY)
        assert review["action"]["args"] == {"text": values(graph)["answer"]["text"]}
        decide(graph, parts, {"type": "answer", "by": "kim", "message": "too short"})
        assert graph.get_state(CONFIG).next == ()


def test_a_review_is_no_review_of_the_next_turn(graph: AgentGraph) -> None:
    rules = Rules(table={"answer": "ask"})
    parts = replace(deps(says("A"), says("B"), rules=rules), feedback="always")
    say(graph, parts, "one?")
    decide(graph, parts, "approve")
    decide(graph, parts, "approve")
    say(graph, parts, "two?")
    [(_, review)] = waiting(graph)
    assert (review["kind"], review["action"]["args"]) == ("approval", {"text": "B"})
