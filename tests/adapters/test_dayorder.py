"""Which day comes first: a stay never ends before it begins, and what depends on today is not judged."""

import pytest

from adapters.forms.dayorder import Day, backwards, day_of


@pytest.mark.parametrize(
    ("words", "day"),
    [
        ("2026-12-03", Day(2026, 12, 3)),
        ("December 3", Day(0, 12, 3)),
        ("Dec 3rd, 2026", Day(2026, 12, 3)),
        ("Sunday, November 29", Day(0, 11, 29)),
        ("24 March", Day(0, 3, 24)),
        ("12/3", Day(0, 12, 3)),
        ("12월 3일", Day(0, 12, 3)),
        ("2026년 12월 3일 목요일", Day(2026, 12, 3)),
        ("5일", Day(0, 0, 5)),
        ("next Friday", None),
        ("내일", None),
        ("13/45", None),
    ],
)
def test_a_plain_day_is_read_and_one_that_depends_on_today_is_not(words: str, day: Day | None) -> None:
    assert day_of(words) == day


@pytest.mark.parametrize(
    ("begin", "end", "wrong"),
    [
        ("1월 19일", "1월 29일", False),
        ("1월 29일", "1월 19일", True),
        ("December 30", "January 2", False),
        ("January 2", "December 30", False),
        ("December 30", "July 2", True),
        ("2026-12-30", "2027-01-02", False),
        ("2027-01-02", "2026-12-30", True),
        ("2026-03-05", "2026-03-05", True),
        ("3월 6일", "9일", False),
        ("next Friday", "May 3", False),
    ],
)
def test_an_end_is_not_before_its_beginning(begin: str, end: str, wrong: bool) -> None:
    assert backwards("check_out", end, {"check_in": begin}) is wrong
    assert backwards("end", end, {"start": begin}) is wrong


@pytest.mark.parametrize("end", ["October 31", "October 31, 2027", "2027-10-31", "February 1, 2028"])
@pytest.mark.parametrize("begin", ["March 1", "March 1, 2027"])
def test_a_stay_may_take_more_than_half_a_year(begin: str, end: str) -> None:
    assert not backwards("check_out", end, {"check_in": begin})


def test_only_pairs_that_are_a_stay_are_compared() -> None:
    assert not backwards("check_in", "May 1", {"check_out": "May 3"})
    assert not backwards("check_out", "May 1", {"due": "May 3"})
    assert not backwards("check_out", None, {"check_in": "May 3"})
    assert not backwards("check_out", "May 1", {})
