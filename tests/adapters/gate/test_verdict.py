"""The verdict by the rules: every reason that keeps a candidate out, and what lets it in."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.gate.report import Reason, Verdict
from adapters.gate.rules import Rules
from adapters.gate.scores import METRICS
from adapters.gate.statistics import Pair
from adapters.gate.verdict import Scores, Training, compared, judged, slices
from tests.adapters.gate.held import held
from tests.flywheel.made import ARGS

RULES = Rules()
POINTS = [
    held(n, ("approve", "edit", "reject")[n % 3], language=("en", "ko")[n % 2], tier=n % 2 + 1,
         edited={**ARGS, "guests": 90} if n % 3 == 1 else None)
    for n in range(90)
]  # fmt: skip
Right = Callable[[int], bool]


def speaks(right: Right, *, repeats: Right = lambda n: False, of: list[Any] = POINTS) -> Scores:
    """What a speaker scores that is right at those points, and repeats itself at those."""
    found: dict[str, dict[str, float | None]] = {}
    for n, point in enumerate(of):
        known, refused = point["decided"] is not None, point["verdict"] != "good"
        found[point["point"]] = {
            **dict.fromkeys(METRICS, None), "match": float(right(n)) if known else None,
            "repeated": float(repeats(n)) if refused else None, "seconds": 1.0,
        }  # fmt: skip
    return found


def verdict(
    candidate: Scores,
    champion: Scores | None = None,
    *,
    nearest: Scores | None = None,
    of: list[Any] = POINTS,
    rules: Rules = RULES,
    training: Training | None = None,
    **how: Any,
) -> tuple[Verdict, list[Reason]]:
    champion = champion or speaks(half, of=of)
    baselines = {"base": speaks(lambda n: False, of=of), "nearest": nearest or champion}
    found = compared(of, candidate, champion, baselines, rules, **{"past_edits": 5, **how})
    return judged(replace(found, training=training or Training()), rules)


def codes(reasons: list[Reason]) -> list[str]:
    return [reason["code"] for reason in reasons if reason["kind"] != "note"]


def notes(reasons: list[Reason]) -> list[str]:
    return [reason["code"] for reason in reasons if reason["kind"] == "note"]


def half(n: int) -> bool:
    return n % 4 < 2


def always(n: int) -> bool:
    return True


def test_a_candidate_that_is_better_everywhere_passes() -> None:
    old = [Pair(str(n), 1.0, 1.0) for n in range(20)]
    said, reasons = verdict(speaks(always), old=old)
    assert (said, reasons) == ("passed", [])


def test_one_that_is_the_same_or_by_chance_better_does_not() -> None:
    assert codes(verdict(speaks(half))[1]) == ["not_better"]
    said, reasons = verdict(speaks(lambda n: half(n) or n == 3))
    assert (said, codes(reasons)) == ("failed", ["not_better"])
    facts = reasons[0]["facts"]
    assert (facts["difference"] > 0, facts["low"], facts["n"]) == (True, 0.0, 60)


def test_shuffled_labels_do_not_pass() -> None:
    """A candidate that learned to say what others wanted: right as often as chance has it."""
    r = random.Random(7)
    learned = [r.random() < 0.3 for _ in POINTS]
    assert verdict(speaks(lambda n: learned[n]))[0] == "failed"


def test_a_look_into_the_past_that_does_better_keeps_it_out() -> None:
    better, best = speaks(lambda n: n % 8 < 7), speaks(always)
    assert codes(verdict(better, nearest=best)[1]) == ["worse_than_nearest"]
    assert verdict(best, nearest=best)[0] == "passed"
    said, reasons = verdict(better, nearest=best, past_edits=0)
    assert (said, "no_past_edits" in notes(reasons)) == ("passed", True)


def test_saying_again_what_was_refused_more_often_keeps_it_out() -> None:
    once = speaks(always, repeats=lambda n: n == 2)
    assert codes(verdict(once)[1]) == ["repeats_rose"]
    assert verdict(once, speaks(half, repeats=lambda n: n == 5))[0] == "passed"


def test_a_korean_slice_that_falls_keeps_it_out() -> None:
    champion = speaks(lambda n: n % 2 == 1 and n % 4 == 1)  # half of Korean, nothing of English
    said, reasons = verdict(speaks(lambda n: n % 2 == 0), champion)
    assert (said, codes(reasons)) == ("failed", ["slice_fell", "slice_fell"])
    assert [reason["facts"]["slice"] for reason in reasons[:2]] == ["language:ko", "tier:2"]
    few = Rules(slice_least=80)
    said, reasons = verdict(speaks(lambda n: n % 2 == 0), champion, rules=few)
    assert (said, codes(reasons), notes(reasons).count("slice_unknown")) == ("passed", [], 2)


def test_a_slice_of_one_conversation_has_no_interval_to_fall_by() -> None:
    of = [{**point, "thread": "one" if point["language"] == "ko" else point["thread"]} for point in POINTS]
    champion = speaks(lambda n: n % 2 == 1 and n % 4 == 1)
    assert "slice_fell" not in codes(verdict(speaks(lambda n: n % 2 == 0), champion, of=of)[1])


def test_forgetting_the_old_domain_keeps_it_out() -> None:
    def old(lost: int) -> list[Pair]:
        return [Pair(str(n), float(n >= lost), 1.0) for n in range(100)]

    assert verdict(speaks(always), old=old(2))[0] == "passed"
    said, reasons = verdict(speaks(always), old=old(3))
    assert (said, codes(reasons), reasons[0]["facts"]["allowed"]) == ("failed", ["old_domain_lost"], 0.02)


@pytest.mark.parametrize(("n", "rules"), [(10, Rules()), (90, Rules(least=61)), (60, Rules(conversations=41))])
def test_too_little_data_is_cannot_tell_however_good(n: int, rules: Rules) -> None:
    of = POINTS[:n]
    said, reasons = verdict(speaks(always, of=of), speaks(lambda n: False, of=of), of=of, rules=rules)
    assert (said, codes(reasons)) == ("cannot_tell", ["too_few"])
    worse, reasons = verdict(speaks(lambda n: False, of=of), of=of, rules=rules)
    assert (worse, codes(reasons)) == ("cannot_tell", ["too_few"])


def test_many_points_of_few_conversations_are_too_few() -> None:
    of = [{**point, "thread": f"t{n % 5}"} for n, point in enumerate(POINTS)]
    said, reasons = verdict(speaks(always), of=of)
    assert (said, codes(reasons), reasons[0]["facts"]["conversations"]) == ("cannot_tell", ["too_few"], 5)


def test_where_everything_was_approved_nobody_knows_of_repeats() -> None:
    of = [held(n) for n in range(40)]
    said, reasons = verdict(speaks(always, of=of), speaks(lambda n: n % 2 == 0, of=of), of=of, past_edits=0)
    assert (said, notes(reasons)) == (
        "passed", ["repeats_unknown", "no_past_edits", "old_domain_unknown", "slice_unknown"],
    )  # fmt: skip
    assert verdict(speaks(always, of=of), speaks(always, of=of), of=of)[0] == "failed"


def test_a_leak_fails_also_where_nobody_could_tell_otherwise() -> None:
    said, reasons = verdict(speaks(always), training=Training(leaked=3))
    assert (said, codes(reasons), reasons[0]["facts"]) == ("failed", ["leak"], {"points": 3})
    of = POINTS[:6]
    said, reasons = verdict(speaks(always, of=of), of=of, training=Training(leaked=1))
    assert (said, codes(reasons)) == ("failed", ["leak", "too_few"])


def test_unknown_training_and_late_rules_are_in_the_way() -> None:
    said, reasons = verdict(speaks(always), training=Training(known=False, late="aa"))
    assert (said, codes(reasons)) == ("cannot_tell", ["unknown_training", "rules_too_late"])
    assert verdict(speaks(half), training=Training(known=False))[0] == "failed"


def test_slices_are_by_language_tool_and_tier() -> None:
    asked = held(1, "answer", clarification="Which day?", about="cancel_booking.booking_id", message="3 May")
    words = held(2, text="Breakfast is from 7 to 10. [1]")
    assert {name: len(of) for name, of in slices([held(3), asked, words]).items()} == {
        "language:en": 3, "language:ko": 0, "tier:1": 3, "tool:book_room": 1, "tool:cancel_booking": 1, "tool:none": 1,
    }  # fmt: skip


@settings(max_examples=5, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=90, max_size=90), st.booleans())
def test_nothing_passes_that_is_not_surely_better(rows: list[tuple[bool, bool, bool]], leaked: bool) -> None:
    candidate, champion = speaks(lambda n: rows[n][0]), speaks(lambda n: rows[n][1], repeats=lambda n: rows[n][2])
    found = compared(POINTS, candidate, champion, {"nearest": champion}, RULES, past_edits=1)
    found = replace(found, training=Training(leaked=int(leaked)))
    said, reasons = judged(found, RULES)
    low = found.figures["match"]["low"]
    assert low is not None
    assert (said == "passed") == (not codes(reasons))
    if said == "passed":
        assert low > 0
        assert not leaked
