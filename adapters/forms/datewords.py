"""Which words of a text can be a date at all, so that a date argument is copied from those and from nothing else.

Reading them is not done here: the tool's own checker turns words into a date or asks the person. Leaving a few words
too many is harmless, missing one is not, so the patterns are wide.
"""

from __future__ import annotations

import re
from typing import Final

_MONTH: Final = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)(?:\.(?=\s*\d))?"
)
_WEEKDAY: Final = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?"
_KO_WEEKDAY: Final = r"(?:\s*[월화수목금토일]요일|\s*[(（][월화수목금토일](?:요일)?[)）])?"
_DAY: Final = r"\d{1,2}(?:st|nd|rd|th)?"
_YEAR: Final = r"(?:,?\s*\d{4}(?!\d))?"  # "Sep 9, 48000" is a day and an amount
_COUNT: Final = r"(?:\d{1,2}|a|one|two|three|four|five|six|seven)"
_DATES: Final = re.compile(
    "|".join(
        (
            r"\d{4}\s*[-./]\s*\d{1,2}\s*[-./]\s*\d{1,2}",
            r"(?:(?:\d{4}|\d{2})\s*년\s*|올해\s*|내년\s*)?\d{1,2}\s*월\s*\d{1,2}\s*일" + _KO_WEEKDAY,
            r"(?:이번|다음|담)\s*달\s*\d{1,2}\s*일",
            r"(?:(?:이번|다음|담|다다음)\s*주\s*|오는\s*|이번\s*)?[월화수목금토일]요일",
            r"내일모레|오늘|금일|내일|모레|글피|다음\s?날|이튿날",
            r"(?:하루|이틀|사흘|나흘|닷새|열흘|보름|일주일|\d{1,2}\s*(?:일|주일|주))\s*(?:뒤|후)",
            # "76 일수 65" and "3 일정" have no day
            r"\d{1,2}일(?!\d)|\d{1,2}\s+일(?!\d|[수정반])|\d{1,2}\s*박",
            rf"\b(?:{_WEEKDAY},?\s+)?{_MONTH}\s+(?:the\s+)?{_DAY}(?!\d){_YEAR}",
            rf"\b(?:{_WEEKDAY},?\s+)?(?:the\s+)?{_DAY}(?:\s+of)?[\s-]+{_MONTH}{_YEAR}",
            r"\bthe day after tomorrow\b|\btoday\b|\btonight\b|\btomorrow\b|\bthe next day\b",
            rf"\b(?:(?:next|this|coming)\s+)?(?:week\s+)?{_WEEKDAY}\b(?:\s+(?:next|this)\s+week)?",
            rf"\bin\s+{_COUNT}\s+(?:day|week)s?\b|\b{_COUNT}\s+nights?\b",
            r"(?<![\d.])\d{1,2}[/.]\d{1,2}(?:[/.]\d{2,4})?(?!\d)",
            r"(?<!\d)(?:the\s+)?\d{1,2}(?:st|nd|rd|th)\b",
        )
    ),
    re.IGNORECASE,
)


def date_words(text: str) -> list[str]:
    """The spans of ``text`` that can be a date, in order, without repeats; none of them overlaps another."""
    return list(dict.fromkeys(match.group().strip() for match in _DATES.finditer(text)))
