"""Reads a date as people write it, in Korean and English, or refuses: it never guesses between two readings.

``dateparser`` reads the rarer spellings; the common ones are read here, because it takes "3", "12월" and
"12/3" for dates too (the last for 22 March 2112) and does not know 모레, 글피 or 다음 주.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime, timedelta
from functools import partial

import dateparser

LONGEST_TEXT = 60
LONGEST_STAY_ACROSS_NEW_YEAR_DAYS = 60

MONTHS = {
    name: number
    for number, names in enumerate(
        "jan january|feb february|mar march|apr april|may|jun june|jul july|aug august|sep sept september|oct october"
        "|nov november|dec december".split("|"),
        start=1,
    )
    for name in names.split()
}
WEEKDAYS = {
    name: number
    for number, names in enumerate(
        "월 mon monday|화 tue tues tuesday|수 wed wednesday|목 thu thur thurs thursday|금 fri friday|토 sat saturday"
        "|일 sun sunday".split("|")
    )
    for name in names.split()
}
DAYS_AWAY = {
    "오늘": 0, "금일": 0, "내일": 1, "명일": 1, "모레": 2, "내일모레": 2, "글피": 3, "어제": -1, "그저께": -2,
    "today": 0, "tonight": 0, "tomorrow": 1, "the day after tomorrow": 2, "day after tomorrow": 2, "yesterday": -1,
}  # fmt: skip
COUNTED_DAYS = {
    "하루": 1,
    "이틀": 2,
    "사흘": 3,
    "나흘": 4,
    "닷새": 5,
    "엿새": 6,
    "이레": 7,
    "일주일": 7,
    "열흘": 10,
    "보름": 15,
}
COUNT_WORDS = {
    "a": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "한": 1, "두": 2, "세": 3, "네": 4, "일": 1, "이": 2, "삼": 3, "사": 4,
}  # fmt: skip

_EN_WEEKDAY = "|".join(sorted((name for name in WEEKDAYS if name.isascii()), key=len, reverse=True))
_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_DAY = r"(?P<day>\d{1,2})"
_KO = re.compile(
    rf"(?:(?P<year>(?:\d{{4}}|\d{{2}})(?=\s*년)|올해|금년|내년)\s*(?:년도?)?\s*)?(?P<month>\d{{1,2}})\s*월\s*{_DAY}\s*일?"
)
_KO_THIS_MONTH = re.compile(rf"(?P<which>이번|다음|이|담)\s*달\s*{_DAY}\s*일")
_EN_DAY_FIRST = re.compile(
    rf"(?:the )?{_DAY}(?:st|nd|rd|th)?(?: of)?[ -](?P<month>{_MONTH})\.?(?:,?[ -](?P<year>\d{{4}}))?"
)
_EN_MONTH_FIRST = re.compile(rf"(?P<month>{_MONTH})\.? (?:the )?{_DAY}(?:st|nd|rd|th)?(?:,? (?P<year>\d{{4}}))?")
_YEAR_FIRST = re.compile(rf"(?P<year>\d{{4}})\s*[-./]\s*(?P<month>\d{{1,2}})\s*[-./]\s*{_DAY}\.?")
_TWO_NUMBERS = re.compile(r"(?P<a>\d{1,2})[/.](?P<b>\d{1,2})(?:[/.](?P<year>\d{4}))?\.?")
_DAY_ONLY = re.compile(rf"{_DAY}\s*일|(?:the )?(?P<nth>\d{{1,2}})(?:st|nd|rd|th)")
_COUNT = rf"(?P<n>\d{{1,3}}|{'|'.join(COUNT_WORDS)})"
_AWAY = re.compile(
    rf"(?P<counted>{'|'.join(COUNTED_DAYS)})\s*(?:뒤|후|있다가)|{_COUNT}\s*(?P<unit>일|주일|주)\s*(?:뒤|후|있다가)"
)
_AWAY_EN = re.compile(
    rf"in {_COUNT} (?P<unit>day|week)s?|(?P<n2>\d{{1,3}}|[a-z]+) (?P<unit2>day|week)s? from (?:now|today)"
)
_NIGHTS = re.compile(rf"(?:for )?{_COUNT}\s*(?:박|nights?)(?:\s*\d\s*일)?")
_WEEKDAY_KO = re.compile(
    r"(?P<week>이번\s*주|다음\s*주|담\s*주|다다음\s*주|오는|이번)?\s*(?P<name>[월화수목금토일])요일"
)
_WEEKDAY_EN = re.compile(
    rf"(?:(?P<week>this|coming|next|on) )?(?:week )?(?P<name>{_EN_WEEKDAY})(?: (?P<late>this|next) week)?"
    rf"|next week(?: on)? (?P<name2>{_EN_WEEKDAY})"
)
_NAMED_WEEKDAY = re.compile(
    rf"\s*[(（]?(?:(?<![가-힣])(?P<ko>[월화수목금토일])(?:요일)?[)）]|(?P<ko2>[월화수목금토일])요일|"
    rf"\b(?P<en>{_EN_WEEKDAY})\b\.?,?[)）]?)\s*"
)
_PARTICLE = re.compile(r"(?<=[일주날레피제늘요])\s*(?:에|부터|까지|날)$|^(?:on|from|until|till) ")


class Unreadable(ValueError):
    """No date, or one of two; ``str(e)`` says which, as the end of a sentence."""


def read_date(text: str, *, today: date, after: date | None = None) -> date:
    """The one date that ``text`` means.

    A date without a year is the next such date from ``today`` on. ``after`` is the date that this one follows (the
    check-in of a check-out): then a bare day ("5일"), nights ("2박") and "다음 날" count from it, and a stay may
    cross the new year.

    Raises:
        Unreadable: for no date, an impossible one, a wrong weekday, or a text with two readings.
    """
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    if not plain or len(plain) > LONGEST_TEXT:
        raise Unreadable("is no date")
    plain = _PARTICLE.sub("", plain).strip()
    try:
        for reader in (_iso, _relative, _weekday, _following, _calendar, _two_numbers, _rare):
            found = reader(plain, today, after)
            if found is not None:
                return found
    except OverflowError as error:
        raise Unreadable("is out of range") from error
    raise Unreadable("is no date")


def _iso(text: str, today: date, after: date | None) -> date | None:
    try:
        return datetime.fromisoformat(text.upper()).date()
    except ValueError:
        return None


def _relative(text: str, today: date, after: date | None) -> date | None:
    if text in DAYS_AWAY:
        return today + timedelta(days=DAYS_AWAY[text])
    if match := _AWAY.fullmatch(text):
        if match["counted"]:
            return today + timedelta(days=COUNTED_DAYS[match["counted"]])
        return today + timedelta(days=_count(match["n"]) * (1 if match["unit"] == "일" else 7))
    if match := _AWAY_EN.fullmatch(text):
        number, unit = match["n"] or match["n2"], match["unit"] or match["unit2"]
        if number.isdigit() or number in COUNT_WORDS:
            return today + timedelta(days=_count(number) * (1 if unit == "day" else 7))
    return None


def _count(word: str) -> int:
    return int(word) if word.isdigit() else COUNT_WORDS[word]


def _weekday(text: str, today: date, after: date | None) -> date | None:
    if match := _WEEKDAY_KO.fullmatch(text):
        week = (match["week"] or "").replace(" ", "")
        weeks = {"이번주": 0, "다음주": 1, "담주": 1, "다다음주": 2}.get(week)
        name = match["name"]
    elif match := _WEEKDAY_EN.fullmatch(text):
        name, week = match["name"] or match["name2"], match["week"] or ""
        if week == "next" and "week" not in text:
            raise Unreadable("can mean this week's day or next week's")
        weeks = {"next": 1, "this": 0}.get(match["late"] or week if "week" in text else "")
        if match["name2"] or text.startswith("next week"):
            weeks = 1
    else:
        return None
    number = WEEKDAYS[name]
    if weeks is None:  # a bare weekday is the next one, today included
        return today + timedelta(days=(number - today.weekday()) % 7)
    from_monday = today - timedelta(days=today.weekday()) + timedelta(days=7 * weeks + number)
    from_sunday = today - timedelta(days=(today.weekday() + 1) % 7) + timedelta(days=7 * weeks + (number + 1) % 7)
    if from_monday != from_sunday:
        raise Unreadable("depends on whether the week starts on Sunday or on Monday")
    return from_monday


def _following(text: str, today: date, after: date | None) -> date | None:
    """What counts from another date: nights, the next day, a bare day of the month."""
    if after is not None:
        if match := _NIGHTS.fullmatch(text):
            return after + timedelta(days=_count(match["n"]))
        if text in ("다음 날", "다음날", "이튿날", "the next day", "next day"):
            return after + timedelta(days=1)
    if match := _DAY_ONLY.fullmatch(text):
        base = after + timedelta(days=1) if after is not None else today
        return _next_day_of_month(int(match["day"] or match["nth"]), base)
    return None


def _next_day_of_month(day: int, base: date) -> date:
    year, month = base.year, base.month
    for _ in range(12):
        found = _real(year, month, day)
        if found is not None and found >= base:
            return found
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    raise Unreadable("is no day of a month")


def _calendar(text: str, today: date, after: date | None) -> date | None:
    bare, weekday = _split_weekday(text)
    for pattern in (_KO, _EN_DAY_FIRST, _EN_MONTH_FIRST, _YEAR_FIRST):
        if match := pattern.fullmatch(bare):
            month = match["month"]
            found = _dated(
                _year(match["year"], today),
                MONTHS.get(month) or int(month),
                int(match["day"]),
                today=today,
                after=after,
            )
            break
    else:
        if not (match := _KO_THIS_MONTH.fullmatch(bare)):
            return None
        later = match["which"] in ("다음", "담")
        first = (today.replace(day=28) + timedelta(days=4)).replace(day=1) if later else today.replace(day=1)
        found = _exact(first.year, first.month, int(match["day"]))
    if weekday is not None and found.weekday() != weekday:
        raise Unreadable(f"does not fit: {found.isoformat()} is another day of the week")
    return found


def _split_weekday(text: str) -> tuple[str, int | None]:
    match = _NAMED_WEEKDAY.search(text)
    if not match:
        return text, None
    rest = (text[: match.start()] + " " + text[match.end() :]).strip(" ,")
    return rest, WEEKDAYS[match["ko"] or match["ko2"] or match["en"]]


def _year(word: str | None, today: date) -> int | None:
    if word is None:
        return None
    if word in ("올해", "금년", "내년"):
        return today.year + (word == "내년")
    return int(word) + (2000 if len(word) == 2 else 0)


def _two_numbers(text: str, today: date, after: date | None) -> date | None:
    """12/25 has one reading, 3/4 two."""
    if not (match := _TWO_NUMBERS.fullmatch(text)):
        return None
    a, b = int(match["a"]), int(match["b"])
    if a <= 12 and b <= 12 and a != b:
        raise Unreadable("can be read with the month or the day first")
    month, day = (a, b) if a <= 12 else (b, a)
    return _dated(_year(match["year"], today), month, day, today=today, after=after)


def _dated(year: int | None, month: int, day: int, *, today: date, after: date | None) -> date:
    if year is not None:
        return _exact(year, month, day)
    found = _next_such(month, day, today)
    if after is not None and found <= after:
        later = _next_such(month, day, after)
        if (later - after).days <= LONGEST_STAY_ACROSS_NEW_YEAR_DAYS:
            return later
    return found


def _next_such(month: int, day: int, base: date) -> date:
    for year in range(base.year, base.year + 9):  # 29 February may be eight years away (2096 to 2104)
        found = _real(year, month, day)
        if found is not None and found >= base:
            return found
    raise Unreadable("is a day that does not exist")


def _exact(year: int, month: int, day: int) -> date:
    found = _real(year, month, day)
    if found is None:
        raise Unreadable("is a day that does not exist")
    return found


def _real(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _rare(text: str, today: date, after: date | None) -> date | None:
    """Other spellings by ``dateparser``, only where a month and a day are written out."""
    named = re.search(rf"\b(?:{_MONTH})\b", text) or re.search(r"\d\s*월", text)
    if not named or not re.search(r"\d", text) or "/" in text:
        return None
    parse = partial(dateparser.parse, text, languages=["ko", "en"])
    try:
        found = parse(
            settings={
                "RELATIVE_BASE": datetime(today.year, today.month, today.day),
                "REQUIRE_PARTS": ["day", "month"],
                "PREFER_DATES_FROM": "future",
            }
        )
    except Exception:  # a third-party parser on free text: whatever it raises means that it cannot read it
        return None
    if found is None:
        return None
    year = found.year if re.search(r"\d{4}", text) else None
    return _dated(year, found.month, found.day, today=today, after=after)
