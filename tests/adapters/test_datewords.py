"""A date argument is copied from words that can be a date, and from nothing else."""

from __future__ import annotations

from time import monotonic

import pytest

from adapters.forms.datewords import date_words, dates_in, spelled
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
        ("100일 후, 120일짜리", ["100일 후"]),
        ("two rooms for Emma Lee at 180,000 won", []),
        ("예약 번호는 BK-2041입니다", []),
    ],
)
def test_words_that_can_be_a_date(text: str, words: list[str]) -> None:
    assert date_words(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("12월 3~5일 2명", ["12월 3일", "12월 5일"]),
        ("12월 3-5일", ["12월 3일", "12월 5일"]),
        ("12월 3(목)~5일(토)", ["12월 3일(목)", "12월 5일(토)"]),
        ("2026년 12월 30~2027년 1월 2일", ["2026년 12월 30일", "2027년 1월 2일"]),
        ("12월 3부터 5일까지", ["12월 3일", "12월 5일"]),
        ("12월 3일~5", ["12월 3일", "12월 5일"]),
        ("다음 달 3~5일", ["다음 달 3일", "다음 달 5일"]),
        ("3~5일", ["3일", "5일"]),
        ("다음 주 금~일요일", ["다음 주 금요일", "다음 주 일요일"]),
        ("3-5 December", ["3 December", "5 December"]),
        ("from 3 to 5 December 2026", ["3 December 2026", "5 December 2026"]),
        ("the 3rd to the 5th of March", ["the 3rd March", "5th March"]),
        ("between 3 and 5 December", ["3 December", "5 December"]),
        ("Dec 3-5, 2 guests", ["Dec 3", "Dec 5"]),
        ("December 3 to 5, 2026", ["December 3, 2026", "December 5, 2026"]),
        ("12/25-27", ["12/25", "12/27"]),
        ("2026-12-03 ~ 05", ["2026-12-03", "2026-12-05"]),
        ("12월 3일~5일", ["12월 3일", "5일"]),
        ("Dec 30 to 2 January", ["Dec 30", "2 January"]),
        ("from the 12th to 7 July", ["the 12th", "7 July"]),
        ("Dec 3 - 5 guests", ["Dec 3"]),
    ],
)
def test_a_range_says_both_of_its_days(text: str, words: list[str]) -> None:
    assert date_words(text) == words


@pytest.mark.parametrize(
    "text", ["12월 3~5~7일", "12월 30~2일", "30 to 2 January", "25-27/12", "12월에 3~5일 동안", "2~3박"]
)
def test_of_a_range_that_nobody_can_read_no_day_is_taken(text: str) -> None:
    assert date_words(text) == []


def test_a_range_is_spelled_with_both_of_its_days_and_nothing_else_is_changed() -> None:
    assert spelled("12월 3~5일, 12월 7일까지") == "12월 3일 ~ 12월 5일, 12월 7일까지"
    assert spelled("12월 3~5~7일") == "12월 3~5~7일"
    assert [said.text for said in dates_in("on 3-5 December")] == ["3-5 December"]


@pytest.mark.parametrize("sign", ["1 ", "12월 ", "3~", "Dec 3 ", " ", "the ", "1.", "12/3-"])
def test_days_in_an_endless_row_cost_no_time(sign: str) -> None:
    begun = monotonic()
    date_words(sign * 20_000)
    assert monotonic() - begun < 20, "a pattern that tries all ways would take for ever"


def test_the_sentence_with_the_rarer_words_of_the_question_shares_most() -> None:
    sentences = ["Breakfast is from 7.", "Parking costs 15,000 won a night.", "The pool is open from 7."]
    assert max(range(3), key=overlap("What does parking cost?", sentences).__getitem__) == 1
    korean = ["조식은 7시부터입니다.", "주차 요금은 1박에 15,000원입니다."]
    assert max(range(2), key=overlap("주차 요금이 얼마예요?", korean).__getitem__) == 1
    assert overlap("", sentences) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("12월 10일부터 3일간 묵어요", ["12월 10일"]),
        ("12월 10일부터 3일 동안", ["12월 10일"]),
        ("3일째 비가 와요, 5일차 일정, 10일짜리", []),
        ("다음 달 첫째 주 금요일부터 2박", ["다음 달 첫째 주 금요일", "2박"]),
        ("12월 둘째주 월요일", ["12월 둘째주 월요일"]),
        ("마지막 주 토요일", ["마지막 주 토요일"]),
        ("내달 20일이나 익월 21일, 다음다음 달 3일", ["내달 20일", "익월 21일", "다음다음 달 3일"]),
        ("이달 20일", ["이달 20일"]),
        ("5일 차량 한 대", ["5일"]),
    ],
)
def test_a_part_of_a_longer_phrase_is_no_day_of_its_own(text: str, words: list[str]) -> None:
    assert date_words(text) == words
