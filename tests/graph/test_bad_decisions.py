"""Whatever a client sends as a decision is one that its review takes, or is refused in one line and kept nowhere."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from checkpoints import DecisionLog
from nodes.door import rule
from nodes.gate import ALLOWED, action_of, open_review, text_action
from state import Kind, Proposal, Review, UserError
from tests.graph.parts import NOW, deps, spec

LONE = "\ud800"
text = st.text(max_size=20) | st.sampled_from(["", " ", LONE, "\x00", "‮", "a" * 20_001, "🙂" * 10])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | text
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=4), max_leaves=8
)
kinds = st.sampled_from(
    ["approve", "edit", "reject", "answer", "respond", "accept", "ignore", "response", "expire", "APPROVE"]
)
keys = ("review_id", "digest", "by", "at", "reason", "edited_args", "message", "dwell_ms", "channel")
args = st.dictionaries(st.sampled_from(["room", "nights", "rooom"]), anything, max_size=3) | anything
ours = st.fixed_dictionaries({"type": kinds}, optional={k: args if k == "edited_args" else anything for k in keys})
edited = st.fixed_dictionaries({}, optional={"name": text | st.just("book"), "args": args})
langchain = st.fixed_dictionaries(
    {"type": kinds | anything}, optional={"edited_action": edited | anything, "message": anything}
)
inbox = st.fixed_dictionaries(
    {"type": kinds | anything}, optional={"args": st.fixed_dictionaries({"args": args}) | anything}
)
wire = (
    ours
    | anything
    | st.builds(lambda items: {"decisions": items}, st.lists(langchain | anything, max_size=2) | anything)
    | st.lists(inbox | anything, max_size=2)
)


def review_of(kind: Kind) -> Review:
    tool = kind in ("tool", "compliance", "in_doubt")
    proposal = Proposal(id="c1", tool="book", args={"room": "1"}, problems=[])
    return open_review(
        thread_id="t1",
        kind=kind,
        subject="call:c1" if tool else "draft:1",
        summary="s",
        action=action_of(proposal, spec("book", "write")) if tool else text_action("draft"),
        evidence=[],
        policy_version="policy-1",
        now=NOW,
    )


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(sorted(ALLOWED)), said=wire)
@example(kind="tool", said={"type": "approve", "review_id": LONE + "\n"})
def test_a_decision_or_a_refusal(kind: Kind, said: Any) -> None:
    with tempfile.TemporaryDirectory() as home:
        parts = replace(deps(), decisions=DecisionLog(home))
        review, refusal, decision = review_of(kind), "", None
        try:
            decision = rule(review, said, parts)
        except UserError as error:
            refusal = str(error)
        stored = DecisionLog(home).of("t1")
    if decision is None:
        assert (len(refusal.splitlines()), stored) == (1, {})
        assert refusal.encode("utf-8")
        return
    assert decision["type"] in ALLOWED[kind]
    assert (decision["review_id"], decision["digest"]) == (review["id"], review["digest"])
    assert stored == {review["id"]: decision}
    if decision["type"] == "edit" and review["action"]["tool"]:
        assert isinstance((decision["edited_args"] or {})["room"], str)
    json.dumps(decision, allow_nan=False).encode("utf-8")
