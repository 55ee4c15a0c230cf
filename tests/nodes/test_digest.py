"""What an approval covers, and that the digest changes with each part of it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from nodes.gate import digest_of
from state import Action

ACTION = Action(tool="book", schema_version="v1", args={"방": "가", "n": 2}, effect_class="write", reversible=True)


def test_the_digest_is_that_of_the_canonical_json() -> None:
    covered = {"tool": "book", "schema_version": "v1", "args": {"n": 2, "방": "가"}, "policy_version": "p1"}
    text = json.dumps({**covered, "evidence": ["a", "b"]}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert digest_of(ACTION, "p1", ["b", "a"]) == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("action", "policy", "evidence"),
    [
        ({"tool": "cancel"}, "p1", ["a"]),
        ({"schema_version": "v2"}, "p1", ["a"]),
        ({"args": {"방": "가", "n": 3}}, "p1", ["a"]),
        ({"args": {"방": "가", "n": "2"}}, "p1", ["a"]),
        ({"args": {"방": "가"}}, "p1", ["a"]),
        ({}, "p2", ["a"]),
        ({}, "p1", ["a2"]),
        ({}, "p1", ["a", "b"]),
        ({}, "p1", []),
    ],
)
def test_it_changes_with_each_part(action: dict[str, Any], policy: str, evidence: list[str]) -> None:
    changed: Any = {**ACTION, **action}
    assert digest_of(changed, policy, evidence) != digest_of(ACTION, "p1", ["a"])


def test_it_does_not_hang_on_the_order_of_anything() -> None:
    turned: Any = {**ACTION, "args": {"n": 2, "방": "가"}}
    assert digest_of(turned, "p1", ["b", "a"]) == digest_of(ACTION, "p1", ["a", "b"])
