"""What makes a review one to look at twice, one flag at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dojang.flags import FLAGS, flags_of
from nodes.gate import open_review
from state import Action, Claim, PassageRef, Progress, Reason, Review, Verdict, untouched
from tests.graph.parts import NOW

BOOK = Action(tool="book", schema_version="1", args={}, effect_class="write", reversible=True)
TRUSTED = PassageRef(id="p", document="d", start=0, end=1, scores={}, trust="trusted")


def review(action: Action = BOOK, *, tier: int = 1, hard: bool = False, evidence: Any = (TRUSTED,)) -> Review:
    verdict = Verdict(
        subject="call:1",
        outcome="ask",
        kind="tool",
        why=[Reason(rule_id="r", text="r", severity="low", hard=hard)],
        tier=tier,
        votes=1,
        roles=[],
        due_s=3600,
        policy_version="1",
    )
    return open_review(
        thread_id="t",
        kind="tool",
        subject="call:1",
        summary="s",
        action=action,
        evidence=list(evidence),
        policy_version="1",
        now=NOW,
        verdict=verdict,
    )


def progress(claim: Claim | None = None, escalated_at: str = "") -> Progress:
    return {**untouched(), "claim": claim, "escalated_at": escalated_at}


CLAIM = Claim(by="kim", at=NOW.isoformat(), until=(NOW + timedelta(minutes=10)).isoformat())


@pytest.mark.parametrize(
    ("flag", "about", "far", "minutes"),
    [
        ("untrusted", review(evidence=[TRUSTED, {**TRUSTED, "trust": "untrusted"}]), progress(), 0),
        ("irreversible", review({**BOOK, "reversible": False}), progress(), 0),
        ("top_tier", review(tier=3), progress(), 0),
        ("hard_rule", review(hard=True), progress(), 0),
        ("claimed", review(), progress(claim=CLAIM), 9),
        ("escalated", review(), progress(escalated_at=NOW.isoformat()), 30),
        ("late", review(), progress(), 61),
    ],
)
def test_each_flag_is_told_where_it_holds(flag: str, about: Review, far: Progress, minutes: int) -> None:
    assert flags_of(about, far, NOW + timedelta(minutes=minutes)) == [flag]
    assert flag in FLAGS


def test_an_ordinary_review_has_none() -> None:
    assert flags_of(review(), progress(), NOW) == []
    assert flags_of(review(), progress(claim=CLAIM), NOW + timedelta(minutes=11)) == []


def test_a_question_is_not_said_to_be_asked_for_by_a_hard_rule() -> None:
    asked = open_review(
        thread_id="t", kind="clarification", subject="q", summary="s", evidence=[], policy_version="1", now=NOW,
        action=Action(tool="", schema_version="text/1", args={}, effect_class="read", reversible=True),
    )  # fmt: skip
    assert flags_of(asked, untouched(), NOW) == []
