"""The gate by itself: what may run now, and that anything that is not said to be allowed is not."""

from __future__ import annotations

from typing import Any, cast

import pytest

from nodes.gate import action_of, allowed_args, open_review
from state import AgentState, Proposal, RuleOutcome, Verdict
from tests.graph.parts import NOW, spec

PROPOSAL = Proposal(id="c1", tool="book", args={"room": "1"}, problems=[])


def verdict(outcome: Any) -> Verdict:
    return Verdict(
        subject="call:c1",
        outcome=outcome,
        kind="tool",
        why=[],
        tier=1,
        votes=1,
        roles=[],
        due_s=600,
        policy_version="p",
    )


def state(**records: Any) -> AgentState:
    return cast(AgentState, {"messages": [], "proposals": {"c1": PROPOSAL}, **records})


def asked(said: str, **more: Any) -> AgentState:
    """A state in which a person was asked about the call and said this."""
    review = open_review(
        thread_id="t",
        kind="tool",
        subject="call:c1",
        summary="s",
        action=action_of(PROPOSAL, spec("book", "write")),
        evidence=[],
        policy_version="p",
        now=NOW,
        verdict=verdict("ask"),
    )
    decision = {"review_id": review["id"], "type": said, "edited_args": None, "at": "", "by": "kim", **more}
    return state(
        verdicts={"call:c1": verdict("ask")}, reviews={review["id"]: review}, decisions={review["id"]: decision}
    )


def test_without_a_verdict_nothing_may_run() -> None:
    assert allowed_args(state(), PROPOSAL) is None
    assert allowed_args(state(verdicts={}), PROPOSAL) is None
    assert allowed_args(state(verdicts={"call:c2": verdict("auto")}), PROPOSAL) is None


@pytest.mark.parametrize(
    ("outcome", "runs"), [("auto", True), ("notify", True), ("ask", False), ("forbid", False), ("whatever", False)]
)
def test_only_a_verdict_that_lets_it_run_lets_it_run(outcome: RuleOutcome, runs: bool) -> None:
    allowed = allowed_args(state(verdicts={"call:c1": verdict(outcome)}), PROPOSAL)
    assert allowed == ({"room": "1"} if runs else None)


@pytest.mark.parametrize("said", ["approve", "reject", "expire", "answer", "edit", "whatever"])
def test_only_an_approval_lets_what_was_asked_about_run(said: str) -> None:
    """An edit by itself is not enough: what was edited needs a verdict of its own."""
    assert allowed_args(asked(said, edited_args={"room": "2"}), PROPOSAL) == (
        {"room": "1"} if said == "approve" else None
    )
