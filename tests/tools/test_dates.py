"""Dates as people write them, in Korean and English."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.amounts import Unreadable as NoNumber
from tools.amounts import read_number
from tools.dates import Unreadable, read_date

TODAY = date(2026, 11, 18)  # a Wednesday


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-12-03", "2026-12-03"),
        ("2026-12-03T15:00:00", "2026-12-03"),
        ("2026.12.3", "2026-12-03"),
        ("2026. 12. 3.", "2026-12-03"),
        ("2026/12/3", "2026-12-03"),
        ("12월 3일", "2026-12-03"),
        ("12월3일", "2026-12-03"),
        ("１２월 ３일", "2026-12-03"),
        ("12월 3일에", "2026-12-03"),
        ("12월 3일부터", "2026-12-03"),
        ("12월 3일(목)", "2026-12-03"),
        ("12월 3일 목요일", "2026-12-03"),
        ("12월 3일 오후 3시", "2026-12-03"),
        ("2026년 12월 3일", "2026-12-03"),
        ("2026년12월3일", "2026-12-03"),
        ("26년 12월 3일", "2026-12-03"),
        ("내년 1월 5일", "2027-01-05"),
        ("올해 12월 31일", "2026-12-31"),
        ("1월 5일", "2027-01-05"),
        ("11월 18일", "2026-11-18"),
        ("11월 17일", "2027-11-17"),
        ("2월 29일", "2028-02-29"),
        ("다음 달 3일", "2026-12-03"),
        ("이번 달 25일", "2026-11-25"),
        ("25일", "2026-11-25"),
        ("3일", "2026-12-03"),
        ("오늘", "2026-11-18"),
        ("내일", "2026-11-19"),
        ("모레", "2026-11-20"),
        ("글피", "2026-11-21"),
        ("내일모레", "2026-11-20"),
        ("사흘 뒤", "2026-11-21"),
        ("3일 후", "2026-11-21"),
        ("일주일 뒤", "2026-11-25"),
        ("2주 뒤", "2026-12-02"),
        ("금요일", "2026-11-20"),
        ("오는 금요일", "2026-11-20"),
        ("수요일", "2026-11-18"),
        ("이번 주 토요일", "2026-11-21"),
        ("다음 주 금요일", "2026-11-27"),
        ("다음주 월요일", "2026-11-23"),
        ("다다음 주 화요일", "2026-12-01"),
        ("December 3", "2026-12-03"),
        ("3 December", "2026-12-03"),
        ("3 Dec", "2026-12-03"),
        ("3rd of December", "2026-12-03"),
        ("December the 3rd", "2026-12-03"),
        ("Dec 3rd, 2027", "2027-12-03"),
        ("3-Dec-2026", "2026-12-03"),
        ("Thursday, December 3", "2026-12-03"),
        ("Thu Dec 3", "2026-12-03"),
        ("Dec 3 at 3pm", "2026-12-03"),
        ("on December 3", "2026-12-03"),
        ("jan 5", "2027-01-05"),
        ("may 1", "2027-05-01"),
        ("the 25th", "2026-11-25"),
        ("today", "2026-11-18"),
        ("Tomorrow", "2026-11-19"),
        ("the day after tomorrow", "2026-11-20"),
        ("in 3 days", "2026-11-21"),
        ("in two weeks", "2026-12-02"),
        ("friday", "2026-11-20"),
        ("friday next week", "2026-11-27"),
        ("next week friday", "2026-11-27"),
        ("12/25", "2026-12-25"),
        ("25/12/2026", "2026-12-25"),
        ("3/3", "2027-03-03"),
    ],
)
def test_reads(text: str, expected: str) -> None:
    assert read_date(text, today=TODAY).isoformat() == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "asap", "3", "12월", "December", "크리스마스", "9월 말", "12/3", "3/4/2026", "next friday", "2월 30일",
        "31 April", "2026-13-01", "2026-02-29", "12월 3일 금요일", "Friday December 3", "12월 3일~5일", "December 3-5",
        "December 3 to 5", "다음 주 일요일", "2박", "다음 날", "0일", "32일", "x" * 200, "12월 3일 또는 4일",
        "99999-01-01", "1234567890",
    ],
)  # fmt: skip
def test_refuses_what_is_no_date_or_two(text: str) -> None:
    with pytest.raises(Unreadable):
        read_date(text, today=TODAY)


def test_a_week_is_not_guessed_on_a_sunday() -> None:
    with pytest.raises(Unreadable, match="Sunday"):
        read_date("다음 주 금요일", today=date(2026, 11, 22))


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("5일", "2026-12-03", "2026-12-05"),
        ("5일까지", "2026-12-03", "2026-12-05"),
        ("the 5th", "2026-12-03", "2026-12-05"),
        ("2일", "2026-12-30", "2027-01-02"),
        ("2박", "2026-12-03", "2026-12-05"),
        ("두 박", "2026-12-03", "2026-12-05"),
        ("3 nights", "2026-12-30", "2027-01-02"),
        ("다음 날", "2026-12-03", "2026-12-04"),
        ("1월 2일", "2026-12-30", "2027-01-02"),
        ("January 2", "2027-12-30", "2028-01-02"),
        ("12월 1일", "2026-12-03", "2026-12-01"),  # a stay of a year is not what was meant: the tool refuses the order
        ("2026-12-01", "2026-12-03", "2026-12-01"),
    ],
)
def test_counts_from_the_date_before(text: str, after: str, expected: str) -> None:
    assert read_date(text, today=TODAY, after=date.fromisoformat(after)).isoformat() == expected


@settings(deadline=None)  # the machine may be busy
@given(st.text(max_size=70), st.dates(), st.none() | st.dates())
def test_any_text_is_a_date_or_unreadable(text: str, today: date, after: date | None) -> None:
    try:
        found = read_date(text, today=today, after=after)
    except Unreadable:
        return
    assert read_date(found.isoformat(), today=today, after=after) == found


@settings(deadline=None)  # the machine may be busy
@given(st.dates(date(2000, 1, 1), date(2090, 1, 1)), st.integers(1, 12), st.integers(1, 28))
def test_without_a_year_is_the_next_such_date(today: date, month: int, day: int) -> None:
    found = read_date(f"{month}월 {day}일", today=today)
    assert (found.month, found.day) == (month, day)
    assert 0 <= (found - today).days <= 366


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2", 2), ("2명", 2), ("두 명", 2), ("세명", 3), ("two guests", 2), ("1 guest", 1), ("180,000", 180_000),
        ("180,000원", 180_000), ("₩50,000", 50_000), ("KRW 50000", 50_000), ("18만원", 180_000),
        ("18만 5천원", 185_000), ("1만 2000원", 12_000), ("1.5만원", 15_000), ("３명", 3), ("3.0", 3), ("-3", -3),
    ],
)  # fmt: skip
def test_reads_numbers(text: str, expected: int) -> None:
    assert read_number(text) == expected


@pytest.mark.parametrize("text", ["", "many", "2-3", "1,5", "1e5", "2박", "nan", "9" * 30, "두세 명"])
def test_refuses_numbers(text: str) -> None:
    with pytest.raises(NoNumber):
        read_number(text)
