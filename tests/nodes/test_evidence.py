"""Evidence is weighed without asking a model."""

from __future__ import annotations

from nodes.evidence import weigh
from state import Passage
from tests.graph.parts import passage


def found(text: str, *, document: str = "a.md", score: float = 0.5, cut: int | None = None) -> Passage:
    sentences = [[0, cut], [cut + 1, len(text)]] if cut else [[0, len(text)]]
    return {**passage(text), "document": document, "scores": {"fused": score}, "sentences": sentences}


def test_nothing_found_is_weak() -> None:
    assert weigh([])["grade"] == "weak"


def test_a_low_score_is_weak_and_a_good_one_good() -> None:
    assert weigh([found("Breakfast is from 7.", score=0.05)])["grade"] == "weak"
    assert weigh([found("Breakfast is from 7.", score=0.5)])["grade"] == "good"


def test_the_same_sentence_with_other_figures_contradicts() -> None:
    weighed = weigh(
        [found("Check-out is at 11:00."), found("Check-out is at 12:00.", document="b.md")],
    )
    assert weighed == {"grade": "contradictory", "about": ["Check-out is at 11:00.", "Check-out is at 12:00."]}


def test_korean_contradictions_are_seen() -> None:
    weighed = weigh([found("퇴실 시간은 오전 11시입니다."), found("퇴실 시간은 오전 12시입니다.", document="b.md")])
    assert weighed["grade"] == "contradictory"


def test_one_document_may_list_prices_and_other_subjects_do_not_clash() -> None:
    assert weigh([found("The fee is 10 won."), found("The fee is 20 won.")])["grade"] == "good"
    other = [found("Parking costs 10 won a day."), found("Breakfast costs 20 won a day.", document="b.md")]
    assert weigh(other)["grade"] == "good"
    assert weigh([found("Room 12."), found("Room 13.", document="b.md")])["grade"] == "good"
