"""Which words of a text can be a date at all, so that a date argument is copied from those and from nothing else.

Reading them is not done here: the tool's own checker turns words into a date or asks the person. Leaving a few words
too many is harmless, missing one is not, so the patterns are wide.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final, NamedTuple

_MONTH: Final = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)(?:\.(?=\s*\d))?"
)
_WEEKDAY: Final = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?"
_KO_WEEKDAY: Final = r"(?:\s*[월화수목금토일]요일|\s*[(（][월화수목금토일](?:요일)?[)）])?"
_DAY: Final = r"\d{1,2}(?:st|nd|rd|th)?"
_YEAR: Final = r"(?:,?\s*\d{4}(?!\d))?"  # "Sep 9, 48000" is a day and an amount
_COUNT: Final = r"(?:\d{1,2}|a|one|two|three|four|five|six|seven)"
_TO: Final = r"\s*[-~∼〜～–—]\s*"
_ALONE: Final = r"(?<!\d)(?<!\d[-~∼〜～–—])"  # of a longer number, or of a range that nobody reads, a day is no date
_YEAR_MONTH: Final = r"(?:(?:\d{4}|\d{2})\s*년\s*|올해\s*|내년\s*)?\d{1,2}\s*월\s*"
_COUNTED: Final = (
    r"일|명|인|개|박|분|실|층|호|시|번|세|월|년|십|백|천|만|원|사람|객실|"
    r"guests?|people|persons?|adults?|nights?|rooms?|days?|won|krw"
)
# "Dec 3 - 5 guests" is no range, and "Dec 30 to 2 January" is two dates already
_ENDS: Final = rf"(?!\d|[.,/:~-]\d|[a-z]|\s?(?:{_COUNTED})|(?:\s+of)?[\s-]+{_MONTH}\b)"
_SO_MANY: Final = r"\s?동안|간|째|차(?![가-힣])|짜리|치(?![가-힣])"
_THAT_MONTH: Final = r"(?:(?:이번|다음다음|다다음|다음|지난|이|담)\s*달|내달|익월|당월|차월)"
_RANGES: Final = (
    # "12월 3~5일", "12월 3(목)~5일(토)", "다음 달 3-5일", "12월 30~1월 2일", "12월 3~5"
    (
        rf"(?P<before>{_YEAR_MONTH}|(?:이번|다음|담)\s*달\s*)(?P<one>\d{{1,2}})(?P<day_one>\s*[(（][월화수목금토일][)）])?"
        rf"{_TO}(?P<other>{_YEAR_MONTH})?(?P<two>\d{{1,2}})(?:\s*일(?P<day_two>{_KO_WEEKDAY})|(?=\s*까지)|{_ENDS})",
        "{before} {one}일{day_one}", "{other} {two}일{day_two}",
    ),
    # "12월 3부터 5일까지"
    (
        rf"(?P<before>{_YEAR_MONTH})(?P<one>\d{{1,2}})\s*(?:부터|에서)\s*(?P<other>{_YEAR_MONTH})?(?P<two>\d{{1,2}})"
        rf"(?:\s*일(?P<day_two>{_KO_WEEKDAY})|(?=\s*까지))",
        "{before} {one}일", "{other} {two}일{day_two}",
    ),
    # "12월 3일~5": "12월 3일~5일" is two dates already
    (
        rf"(?P<before>{_YEAR_MONTH})(?P<one>\d{{1,2}})\s*일(?P<day_one>{_KO_WEEKDAY}){_TO}(?P<two>\d{{1,2}}){_ENDS}",
        "{before} {one}일{day_one}", "{other} {two}일",
    ),
    # "3~5일"; so many days are none
    (rf"{_ALONE}\d{{1,2}}{_TO}\d{{1,2}}\s*(?:일\s*(?:간|동안|정도|이내|쯤|뒤|후|전)|박|nights?\b)",),
    (
        rf"{_ALONE}(?P<one>\d{{1,2}}){_TO}(?P<two>\d{{1,2}})\s*일(?!\d)(?P<day_two>{_KO_WEEKDAY})",
        "{one}일", "{two}일{day_two}",
    ),
    # "이번 주 금~일요일"
    (
        rf"(?<![가-힣])(?P<before>(?:이번|다음|담|다다음)\s*주\s*)?(?P<one>[월화수목금토일]){_TO}(?P<two>[월화수목금토일])요일",
        "{before} {one}요일", "{other} {two}요일",
    ),
    # "Dec 3-5", "December 3 to 5, 2026"; "December 3 to the 5th" is two dates already
    (
        rf"\b(?P<day_one>(?:{_WEEKDAY},?\s+)?)(?P<before>{_MONTH})\s+(?:the\s+)?(?P<one>{_DAY})"
        rf"(?:{_TO}|\s+(?:to|through|thru|until|till)\s+(?:the\s+)?)(?P<two>\d{{1,2}})(?!\d)(?P<after>{_YEAR}){_ENDS}",
        "{day_one}{before} {one}{after}", "{other} {two}{after}",
    ),
    # "3-5 December", "from the 3rd to the 5th of December", "between 3 and 5 Dec 2026"
    (
        rf"(?<![\w.,/-])(?P<day_one>(?:{_WEEKDAY},?\s+)?)(?P<the>(?:the\s+)?)(?P<one>{_DAY})"
        rf"(?:{_TO}|\s+(?:to|through|thru|until|till)\s+|(?<=between \d)\s+and\s+|(?<=between \d\d)\s+and\s+)"
        rf"(?P<day_two>(?:{_WEEKDAY},?\s+)?)(?:the\s+)?(?P<two>{_DAY})(?:\s+of)?[\s-]+(?P<after>{_MONTH}{_YEAR})",
        "{day_one}{the}{one} {after}", "{day_two}{two} {after}",
    ),
    # "12/3-5", "12.3~5"; nobody knows which is the month in "25-27/12"
    (
        rf"(?<![\d.])(?P<before>\d{{1,2}}[/.])(?P<one>\d{{1,2}})(?:{_TO}|\s+to\s+)(?P<two>\d{{1,2}}){_ENDS}",
        "{before}{one}", "{other}{two}",
    ),
    (r"(?<![\d./-])\d{1,2}[-~∼〜～–—]\d{1,2}/\d{1,2}(?![\d/])",),
    # "2026-12-03 ~ 05", "2026.12.30~01.02"
    (
        r"(?P<before>\d{4}[-./])(?P<month>\d{1,2}[-./])(?P<one>\d{1,2})(?:\s*[~∼〜～–—]\s*|\s+(?:-|to)\s+)"
        rf"(?P<last>\d{{1,2}}[-./])?(?P<two>\d{{1,2}}){_ENDS}",
        "{before}{month}{one}", "{before}{last}{two}",
    ),
)  # fmt: skip
"""Two days that share their month: a pattern, and either day in its own words. Without these the range is not read."""
_DATES: Final = (
    r"\d{4}\s*[-./]\s*\d{1,2}\s*[-./]\s*\d{1,2}",
    _YEAR_MONTH + r"\d{1,2}\s*일" + _KO_WEEKDAY,
    rf"{_THAT_MONTH}\s*\d{{1,2}}\s*일",
    # "다음 달 첫째 주 금요일" is no Friday of this week: what tools do not read is asked for
    rf"(?:(?:{_THAT_MONTH}|\d{{1,2}}\s*월)\s*)?(?:(?:첫|둘|두|셋|세|넷|네|다섯|\d)\s*(?:번\s*)?째|마지막|첫)\s*주\s*[월화수목금토일]요일",
    r"(?:(?:이번|다음|담|다다음)\s*주\s*|오는\s*|이번\s*)?[월화수목금토일]요일",
    r"내일모레|오늘|금일|내일|모레|글피|다음\s?날|이튿날",
    rf"(?:하루|이틀|사흘|나흘|닷새|열흘|보름|일주일|{_ALONE}\d{{1,3}}\s*(?:일|주일|주))\s*(?:뒤|후)",
    # "76 일수 65" and "3 일정" have no day, and three days (3일간, 3일째) are none
    rf"{_ALONE}(?:\d{{1,2}}일(?!\d|{_SO_MANY})|\d{{1,2}}\s+일(?!\d|[수정반]|{_SO_MANY})|\d{{1,2}}\s*박)",
    rf"\b(?:{_WEEKDAY},?\s+)?{_MONTH}\s+(?:the\s+)?{_DAY}(?!\d){_YEAR}",
    rf"\b{_ALONE}(?:{_WEEKDAY},?\s+)?(?:the\s+)?{_DAY}(?:\s+of)?[\s-]+{_MONTH}{_YEAR}",
    r"\bthe day after tomorrow\b|\btoday\b|\btonight\b|\btomorrow\b|\bthe next day\b",
    rf"\b(?:(?:next|this|coming)\s+)?(?:week\s+)?{_WEEKDAY}\b(?:\s+(?:next|this)\s+week)?",
    rf"\bin\s+{_COUNT}\s+(?:day|week)s?\b|\b{_ALONE}{_COUNT}\s+nights?\b",
    r"(?<![\d.])\d{1,2}[/.]\d{1,2}(?:[/.]\d{2,4})?(?!\d)",
    r"(?<!\d)(?:the\s+)?\d{1,2}(?:st|nd|rd|th)\b",
)


@cache
def _forms() -> list[tuple[re.Pattern[str], tuple[str, ...]]]:
    """Each range's pattern and what its days are; compiled when a first text is read, not with every start."""
    return [(re.compile(form[0], re.IGNORECASE), form[1:]) for form in _RANGES]


@cache
def _all() -> re.Pattern[str]:
    ranges = (re.sub(r"\?P<\w+>", "?:", form[0]) for form in _RANGES)
    return re.compile("|".join((*ranges, *_DATES)), re.IGNORECASE)


def _words(found: re.Match[str]) -> tuple[str, ...]:
    """What is said there: the words themselves, or those of a range; nothing where its days are in no order."""
    for form, days in _forms():
        read = form.match(found.string, found.start())
        if not read or read.end() != found.end():
            continue
        parts = {name: part or "" for name, part in read.groupdict().items()}
        same = not parts.get("other") and parts.get("last", "") in ("", parts.get("month"))
        one, two = (int(re.sub(r"\D", "", parts.get(day, "")) or 0) for day in ("one", "two"))
        if same and 0 < two <= one:  # "the 12th to 7 July" begins in another month, and "30 to 2 January" in a third
            return () if parts["one"].isdigit() else (parts["the"] + parts["one"], f"{parts['two']} {parts['after']}")
        parts["other"] = parts.get("other") or parts.get("before", "")
        parts["last"] = parts.get("last") or parts.get("month", "")
        return tuple(" ".join(day.format(**parts).split()) for day in days)
    return (found.group().strip(),)


class Said(NamedTuple):
    """A date as it is said, where that stands, and what it is in words: two days for a range, none for one unread."""

    at: int
    text: str
    words: tuple[str, ...]


@lru_cache(maxsize=256)
def dates_in(text: str) -> tuple[Said, ...]:
    """The spans of ``text`` that can be a date or a range, in order; none of them overlaps another one."""
    return tuple(Said(found.start(), found.group(), _words(found)) for found in _all().finditer(text))


def date_words(text: str) -> list[str]:
    """The words of ``text`` that can be a date, in order, without repeats.

    "12월 3~5일" says both days, and neither in words of its own: they are "12월 3일" and "12월 5일" here.
    """
    return list(dict.fromkeys(word for said in dates_in(text) for word in said.words))


def spelled(text: str) -> str:
    """``text`` with both days of a range in words of their own, as they are copied: "12월 3일 ~ 12월 5일"."""
    for said in reversed(dates_in(text)):
        if len(said.words) == 2:
            text = f"{text[: said.at]}{' ~ '.join(said.words)}{text[said.at + len(said.text) :]}"
    return text
