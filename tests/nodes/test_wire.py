"""One normaliser for every wire form; what is wrong is refused with the reason, and nothing is guessed."""

from __future__ import annotations

from typing import Any, cast

import pytest

from nodes.door import Who, read_decision
from nodes.gate import action_of, open_review
from nodes.wire import InvalidDecision, StaleDecision, by_review
from state import Proposal, Review
from tests.graph.parts import NOW, Toys, spec


def review(room: str = "1") -> Review:
    proposal = Proposal(id=f"c{room}", tool="book", args={"room": room}, problems=[])
    return open_review(
        thread_id="t",
        kind="tool",
        subject=f"call:c{room}",
        summary="book",
        action=action_of(proposal, spec("book", "write")),
        evidence=[],
        policy_version="p",
        now=NOW,
    )


def read(raw: object, who: Who | None = None) -> Any:
    return read_decision(review(), raw, toolbox=Toys(), now=NOW, who=who or Who())


@pytest.mark.parametrize(
    ("raw", "kind", "edited"),
    [
        ({"type": "approve"}, "approve", None),
        ({"type": "approve", "digest": None, "review_id": None}, "approve", None),
        ({"decisions": [{"type": "approve"}]}, "approve", None),
        ([{"type": "accept", "args": None}], "approve", None),
        ([{"type": "ignore", "args": None}], "reject", None),
        ({"decisions": [{"type": "reject", "message": "no"}]}, "reject", None),
        (
            {"decisions": [{"type": "edit", "edited_action": {"name": "book", "args": {"room": "9"}}}]},
            "edit",
            {"room": "9"},
        ),
        ([{"type": "edit", "args": {"action": "book", "args": {"room": "9"}}}], "edit", {"room": "9"}),
        ([{"type": "edit", "args": {"room": "9"}}], "edit", {"room": "9"}),
    ],
)
def test_every_form_becomes_ours(raw: object, kind: str, edited: object) -> None:
    said = read(raw)
    assert (said["type"], said["edited_args"], said["review_id"]) == (kind, edited, review()["id"])


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (None, "object with a type"),
        (True, "object with a type"),
        (0, "object with a type"),
        ("", "object with a type"),
        ("approve", "object with a type"),
        ({}, "object with a type"),
        ({"type": None}, "object with a type"),
        ({"type": ["approve"]}, "object with a type"),
        ({"type": "Approve"}, "cannot be decided"),
        ({"type": "accept"}, "cannot be decided"),
        ({"type": "respond"}, "cannot be decided"),
        ({"type": "answer", "message": "x"}, "cannot be decided"),
        ({"type": "approve", "edited_arg": {}}, "no field 'edited_arg'"),
        ({"type": "approve", "reason": 7}, "reason must be text"),
        ({"type": "approve", "by": ["kim"]}, "by must be text"),
        ({"type": "approve", "message": "x" * 20_001}, "longer than"),
        ({"type": "edit", "edited_args": [1]}, "whole argument object"),
        ({"type": "edit", "edited_args": {}}, "room is missing"),
        ({"decisions": None}, "exactly one"),
        ({"decisions": []}, "exactly one"),
        ({"decisions": ["approve"]}, "exactly one"),
        ({"decisions": {"type": "approve"}}, "exactly one"),
        ({"decisions": [{"type": "approve"}, {"type": "approve"}]}, "exactly one"),
        ({"decisions": [{"type": "ignore"}]}, "cannot be decided"),
        ({"decisions": [{"type": 5}]}, "cannot be decided"),
        ({"decisions": [{"type": "edit", "edited_action": "book"}]}, "whole argument object"),
        ({"decisions": [{"type": "edit", "edited_action": {"name": "pay", "args": {"room": "9"}}}]}, "may not change"),
        ([], "exactly one"),
        ([[{"type": "accept"}]], "exactly one"),
        ([{"type": "approve"}, {"type": "accept"}], "exactly one"),
        ([{"type": "edit", "args": {"action": "pay", "args": {"room": "9"}}}], "may not change"),
        ([{"type": "edit", "args": "room 9"}], "whole argument object"),
    ],
)
def test_a_wrong_form_is_refused_with_the_reason(raw: object, why: str) -> None:
    with pytest.raises(InvalidDecision, match=why) as refused:
        read(raw)
    assert refused.value.review_id == review()["id"]


@pytest.mark.parametrize("raw", [{"type": "approve", "digest": 5}, {"type": "approve", "review_id": "rv_x"}])
def test_what_is_about_something_else_is_stale(raw: object) -> None:
    with pytest.raises(StaleDecision):
        read(raw)


def test_who_is_known_is_not_overruled_by_what_was_sent() -> None:
    sent = {"type": "approve", "by": "mallory", "at": "1999-01-01T00:00:00+00:00", "channel": "cli"}
    assert read(sent, Who(by="kim"))["by"] == "kim"
    assert read(sent)["by"] == "mallory"
    assert read(sent)["at"] == NOW.isoformat()


WAITING = [("i1", review("1")), ("i2", review("2"))]
ONE, TWO = (r["id"] for _, r in WAITING)


@pytest.mark.parametrize(
    ("raw", "matched"),
    [
        ({"i1": {"type": "approve"}}, [(ONE, {"type": "approve"})]),
        ({"i2": "x", ONE: "y"}, [(TWO, "x"), (ONE, "y")]),
    ],
)
def test_answers_are_matched_by_id(raw: object, matched: object) -> None:
    assert [(r["id"], said) for r, said in by_review(WAITING, raw)] == matched


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ({"type": "approve"}, "2 reviews wait"),
        ({"decisions": [{"type": "approve"}, {"type": "approve"}]}, "2 reviews wait"),  # never by position
        ([{"type": "accept"}, {"type": "ignore"}], "2 reviews wait"),
        (None, "2 reviews wait"),
        ({}, "2 reviews wait"),
        ({"i3": {"type": "approve"}}, "'i3'"),
        ({"i1": {"type": "approve"}, "i3": {"type": "approve"}}, "'i3'"),
        ({"i1": {"type": "approve"}, ONE: {"type": "reject"}}, "answered twice"),
        ({1: {"type": "approve"}}, "'1'"),
    ],
)
def test_ambiguous_or_unknown_ids_are_refused(raw: object, why: str) -> None:
    with pytest.raises(InvalidDecision, match=why):
        by_review(WAITING, raw)


def test_one_pause_takes_one_answer_in_any_form() -> None:
    for raw in ({"type": "approve"}, [{"type": "accept"}], {"decisions": [{"type": "approve"}]}):
        [(about, said)] = by_review(WAITING[:1], raw)
        assert (about["id"], said) == (ONE, raw)
    with pytest.raises(InvalidDecision, match="0 reviews wait"):
        by_review([], cast(Any, {"type": "approve"}))
