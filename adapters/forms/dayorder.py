"""Which of two days comes first, as far as their words say: an end before its beginning is no stay.

Only plain days are compared (2026-12-03, December 3, 3 Dec 2026, 12/3, 12월 3일, 5일 after 12월 3일). What depends on
today ("next Friday") is left alone: here nobody knows the date. Turning words into a date is the tool's own work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from adapters.forms.datewords import date_words
from state import JSON

PAIRS: Final = (
    ("check_in", "check_out"),
    ("arrival", "departure"),
    ("start", "end"),
    ("start_date", "end_date"),
    ("from_date", "to_date"),
    ("from", "to"),
    ("begin", "end"),
)
HALF_YEAR: Final = 183
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAMED: Final = r"(?P<name>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_FORMS: Final = [
    re.compile(form, re.IGNORECASE)
    for form in (
        r"(?P<year>\d{4})\s*[-./]\s*(?P<month>\d{1,2})\s*[-./]\s*(?P<day>\d{1,2})$",
        r"(?:(?P<year>\d{4})\s*년\s*)?(?P<month>\d{1,2})\s*월\s*(?P<day>\d{1,2})\s*일",
        rf"(?:\w+,?\s+)?{_NAMED}\s+(?:the\s+)?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:,?\s*(?P<year>\d{{4}}))?$",
        rf"(?:\w+,?\s+)?(?:the\s+)?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:\s+of)?[\s-]+{_NAMED}(?:,?\s*(?P<year>\d{{4}}))?$",
        r"(?P<month>\d{1,2})[/.](?P<day>\d{1,2})$",
        r"(?P<day>\d{1,2})\s*일$",
    )
]


class Day(NamedTuple):
    """A day as far as it was said; 0 for what was not."""

    year: int
    month: int
    day: int


def day_of(words: str) -> Day | None:
    """The day that some words name, None for words that depend on today or name none."""
    for form in _FORMS:
        if found := form.match(words.strip()):
            parts = found.groupdict()
            month = _MONTHS.index(parts["name"].lower()) + 1 if parts.get("name") else int(parts.get("month") or 0)
            day = Day(int(parts.get("year") or 0), month, int(parts["day"]))
            return day if day.month <= 12 and 1 <= day.day <= 31 else None
    return None


def dated(value: JSON) -> bool:
    """Whether a text has a plain day in it: no name and no place, where a tool has dates of its own to put it in."""
    return isinstance(value, str) and any(day_of(words) is not None for words in date_words(value))


def backwards(name: str, value: JSON, values: Mapping[str, JSON]) -> bool:
    """Whether the argument ``name`` would make a stay end before it begins, or on the day on which it begins."""
    for first, last in PAIRS:
        if name == last and isinstance(value, str) and isinstance(values.get(first), str):
            begin, end = day_of(str(values[first])), day_of(value)
            return begin is not None and end is not None and not _later(begin, end)
    return False


def _later(begin: Day, end: Day) -> bool:
    if not begin.month or not end.month:  # "the 3rd to the 5th" of whatever month; a stay may end in the next one
        return begin.day != end.day or begin.month != end.month
    if begin.year and end.year:
        return end > begin
    apart = (end.month - begin.month) * 31 + end.day - begin.day
    # A later day of the calendar is in the same year, an earlier one may be in the next, and is if its year is said.
    return apart > 0 or 0 < apart + 12 * 31 < HALF_YEAR or (bool(end.year) and apart != 0)


__all__ = ["PAIRS", "Day", "backwards", "dated", "day_of"]
