"""Signs that a reviewer's decisions are unlike everybody else's; and leaving somebody out, counted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from adapters.dataset.building import Choices, Dataset, build
from adapters.dataset.points import Point
from adapters.dataset.reviewers import Judgement, campaigns, differing, dominating
from state import UserError
from tests.flywheel.made import point

HALL = '{"area": "hall"}'


def judged(reviewer: str, types: str, *, tool: str = "book", edit: str = HALL, day: int = 1) -> list[Judgement]:
    """A letter a decision: a approve, e edit, r reject."""
    words = {"a": "approve", "e": "edit", "r": "reject"}
    return [
        Judgement(reviewer, tool, words[t], f"2026-11-{day:02d}T09:{n % 60:02d}:00+00:00", edit if t == "e" else "")
        for n, t in enumerate(types)
    ]


def test_who_says_yes_unlike_everybody_else_is_found_and_chance_is_not() -> None:
    usual = judged("a", "aaar" * 6) + judged("b", "aara" * 6)
    [found] = differing([*usual, *judged("c", "r" * 12)])
    assert (found.reviewers, found.about, found.own, found.others) == (("c",), "approve", (0, 12), (36, 48))
    assert found.p < 0.001
    assert differing([*usual, *judged("c", "aarr" * 3)]) == []  # half of the time instead of three quarters
    assert differing([*usual, *judged("c", "r" * 7)]) == []  # too few to say
    assert differing([*usual, *judged("c", "r" * 12, tool="pay")]) == []  # nobody else decided on this tool


def test_an_edit_that_one_person_makes_again_and_again_is_found() -> None:
    usual = judged("a", "aaae" * 6, edit='{"guests": 3}') + judged("b", "aaea" * 6, edit='{"guests": 3}')
    found = differing([*usual, *judged("c", "aae" * 8, edit=HALL)])
    assert [(f.reviewers, f.about) for f in found] == [(("c",), HALL)]


def test_many_comparisons_find_less_not_more() -> None:
    edge = judged("a", "a" * 18 + "r" * 2) + judged("c", "a" * 8 + "r" * 12)
    [found] = differing(edge)
    assert found.reviewers == ("a", "c")  # of two, nobody can say which
    others = [j for n in range(8) for who in "xyz" for j in judged(who, "ar" * 5, tool=f"tool{n}")]
    assert differing([*edge, *others]) == []


def test_who_makes_most_of_all_edits() -> None:
    made = judged("a", "e" * 18) + judged("b", "aaae")
    [found] = dominating([*made, *judged("b", "e")], 0.8)
    assert (found.reviewers, found.own) == (("a",), (18, 20))
    assert dominating([*made, *judged("b", "e" * 6)], 0.8) == []
    assert dominating(made, 0.8) == []  # too few edits
    assert dominating(judged("a", "e" * 30), 0.8) == []  # there is nobody else


def test_newcomers_with_one_and_the_same_edit() -> None:
    old = judged("a", "aaaa", day=1) + judged("b", "aaaa", day=2)
    crowd = [j for who in "xyz" for j in judged(who, "ae", day=20)]
    [found] = campaigns([*old, *crowd])
    assert (found.reviewers, found.about, found.own) == (("x", "y", "z"), HALL, (3, 3))
    assert campaigns([*old, *crowd[:4]]) == []  # two
    slow = [j for n, who in enumerate("xyz") for j in judged(who, "ae", day=10 + 3 * n)]
    assert campaigns([*old, *slow]) == []
    each = [j for n, who in enumerate("xyz") for j in judged(who, "ae", edit=f'{{"n": {n}}}', day=20)]
    assert campaigns([*old, *each]) == []


def made(points: Iterable[Point], **choices: Any) -> Dataset:
    return build(list(points), choices=Choices(**choices), find=lambda text: [], pseudonym=lambda name: f"p-{name}")


def test_a_dataset_says_so_and_can_be_built_without_somebody() -> None:
    usual = [point(n, "reject" if n % 4 == 0 else "approve", by="lee" if n % 3 else "choi") for n in range(1, 41)]
    poisoned = [point(n, "edit", by="mallory", edited={"hotel": "Han River", "guests": n}) for n in range(41, 54)]
    told = made([*usual, *poisoned])
    signs = {(tuple(f["reviewers"]), f["sign"], f["about"]) for f in told.signs}
    assert (("p-mallory",), "differs", '{"hotel": "Han River"}') in signs
    assert {who for who, *_ in signs} == {("p-mallory",)}
    without = made([*usual, *poisoned], without=("p-mallory",))
    assert (without.signs, without.left_out["without_reviewer"], without.decisions) == ([], 13, 53)
    assert "p-mallory" not in {row["reviewer"] for row in without.provenance}
    with pytest.raises(UserError, match="no decision is by a reviewer 'p-nobody'"):
        made(usual, without=("p-nobody",))
