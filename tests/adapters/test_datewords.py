"""A date argument is copied from words that can be a date, and from nothing else."""

from __future__ import annotations

import pytest

from adapters.forms.datewords import date_words
from adapters.speakers.lexical import overlap


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("from December 3 to December 5 for 2 guests", ["December 3", "December 5"]),
        ("arriving 3rd of Dec, leaving 5 Dec 2026.", ["3rd of Dec", "5 Dec 2026"]),
        ("Tuesday, February 9 until the 12th", ["Tuesday, February 9", "the 12th"]),
        ("start Sep 9, 48000 won in all, until Sep 12, 2026", ["Sep 9", "Sep 12, 2026"]),
        ("12월 3일부터 5일까지 2명", ["12월 3일", "5일"]),
        ("거리 76 일수 65, 5 일부터", ["5 일"]),
        ("2026년 12월 3일(목)에서 2박", ["2026년 12월 3일(목)", "2박"]),
        ("11/6에서 11/16까지", ["11/6", "11/16"]),
        ("2026-12-03, 내일, 다음 주 금요일", ["2026-12-03", "내일", "다음 주 금요일"]),
        ("two rooms for Emma Lee at 180,000 won", []),
        ("예약 번호는 BK-2041입니다", []),
    ],
)
def test_words_that_can_be_a_date(text: str, words: list[str]) -> None:
    assert date_words(text) == words


def test_the_sentence_with_the_rarer_words_of_the_question_shares_most() -> None:
    sentences = ["Breakfast is from 7.", "Parking costs 15,000 won a night.", "The pool is open from 7."]
    assert max(range(3), key=overlap("What does parking cost?", sentences).__getitem__) == 1
    korean = ["조식은 7시부터입니다.", "주차 요금은 1박에 15,000원입니다."]
    assert max(range(2), key=overlap("주차 요금이 얼마예요?", korean).__getitem__) == 1
    assert overlap("", sentences) == [0.0, 0.0, 0.0]
